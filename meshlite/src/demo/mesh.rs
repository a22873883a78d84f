//! The demo's planes: one of each, on loopback, each of which can be stopped and started again.

use std::{future::Future, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use ipnet::IpNet;
use meshlite_compile::Settings;
use meshlite_control_plane::{ControlPlane, PodRuntime, Security, SourceConfig};
use meshlite_ingress::Ingress;
use meshlite_manifests::admit::AdmitSettings;
use meshlite_node::{Mode, Node};
use meshlite_snapshot::Protocol;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use super::{
    backend::{Backend, LOW_PORT_OFFSET},
    folder::{OUTSIDER_PORT, OUTSIDERS},
    layout::Layout,
    pods::LocalPods,
    status,
};

/// The name of the only node.
pub(crate) const NODE_NAME: &str = "demo";

/// How long requests get when the demo ends.
const DRAIN: Duration = Duration::from_secs(2);

/// Control plane, node and ingress, and the backends behind them.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) layout: Layout,
    manifests: PathBuf,
    state: PathBuf,
    pods: Arc<dyn PodRuntime>,
    control_plane: Option<Plane>,
    node: Plane,
    ingress: Plane,
    _outsiders: Vec<Backend>,
}

/// A plane that runs. It stops when dropped.
#[derive(Debug)]
struct Plane {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

// === impl Mesh ===

impl Mesh {
    /// Starts everything. `state` keeps allocations.
    pub(crate) async fn start(
        layout: Layout,
        manifests: PathBuf,
        state: PathBuf,
        outsiders: Vec<Backend>,
    ) -> anyhow::Result<Self> {
        let pods: Arc<dyn PodRuntime> = Arc::new(LocalPods::new(NODE_NAME, layout.pods));
        let control_plane = start_control_plane(&layout, &manifests, &state, &pods).await?;
        status::serving(&layout).await?;
        let node = start_node(&layout).await?;
        let ingress = start_ingress(&layout).await?;
        Ok(Self {
            layout,
            manifests,
            state,
            pods,
            control_plane: Some(control_plane),
            node,
            ingress,
            _outsiders: outsiders,
        })
    }

    /// Stops the control plane and leaves the data planes alone.
    pub(crate) async fn stop_control_plane(&mut self) -> anyhow::Result<()> {
        match self.control_plane.take() {
            Some(plane) => plane.end().await.context("control plane"),
            None => Ok(()),
        }
    }

    /// Starts the control plane again, on the same port.
    pub(crate) async fn start_control_plane(&mut self) -> anyhow::Result<()> {
        let plane =
            start_control_plane(&self.layout, &self.manifests, &self.state, &self.pods).await?;
        self.control_plane = Some(plane);
        Ok(())
    }

    /// Waits until a plane ends by itself, and says why.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let control_plane = async {
            match &mut self.control_plane {
                Some(plane) => plane.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = control_plane => error.context("the control plane ended"),
            error = self.node.ended() => error.context("the node ended"),
            error = self.ingress.ended() => error.context("the ingress ended"),
        }
    }

    /// Ends everything: the data planes first.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let (node, ingress) = tokio::join!(self.node.end(), self.ingress.end());
        let control_plane = match self.control_plane.take() {
            Some(plane) => plane.end().await,
            None => Ok(()),
        };
        node.context("node")?;
        ingress.context("ingress")?;
        control_plane.context("control plane")
    }
}

/// Backends that stand outside of the cluster: endpoints that the built-in manifests write by hand.
pub(crate) fn start_outsiders(layout: &Layout) -> anyhow::Result<Vec<Backend>> {
    OUTSIDERS
        .iter()
        .map(|(host, name)| {
            let address =
                std::net::Ipv4Addr::from(u32::from(layout.pods.network()) + u32::from(*host));
            Backend::start(
                &(*name).into(),
                address.into(),
                Protocol::Tcp,
                OUTSIDER_PORT,
            )
            .with_context(|| format!("cannot serve {name} on {address}:{OUTSIDER_PORT}"))
        })
        .collect()
}

async fn start_control_plane(
    layout: &Layout,
    manifests: &std::path::Path,
    state: &std::path::Path,
    pods: &Arc<dyn PodRuntime>,
) -> anyhow::Result<Plane> {
    let config = meshlite_control_plane::Config {
        listen: layout.grpc,
        admin_listen: Some(layout.control_plane_admin),
        source: SourceConfig::Files {
            manifests: manifests.to_owned(),
            state_dir: Some(state.to_owned()),
            admit: AdmitSettings {
                service_cidrs: vec![layout.services.into()],
                ..AdmitSettings::default()
            },
            pods: Some(Arc::clone(pods)),
        },
        settings: Settings {
            watch_ingress_without_class: true,
            external_names: true,
            http_proxy_port: layout.http.port(),
            https_proxy_port: layout.https.port(),
            ..Settings::default()
        },
        security: Security::Insecure,
        replica: "replica-1".into(),
    };
    let control_plane = ControlPlane::bind(config).await?;
    Ok(Plane::spawn(|stop| {
        let run = control_plane.run(stop);
        async { Ok(run.await?) }.instrument(info_span!("control_plane"))
    }))
}

async fn start_node(layout: &Layout) -> anyhow::Result<Plane> {
    let node = Node::bind(meshlite_node::Config {
        node_name: NODE_NAME.to_owned(),
        control_plane: vec![format!("http://{}", layout.grpc)],
        mode: Mode::Userspace,
        metrics_listen: Some(layout.node_metrics),
        health_listen: Some(layout.node_health),
        node_port_addresses: vec![IpNet::from(IpAddr::from(layout.node))],
        low_port_offset: Some(LOW_PORT_OFFSET),
        loopback_only: true,
        ..meshlite_node::Config::default()
    })
    .await?;
    Ok(Plane::spawn(|stop| {
        let run = node.run(stop);
        async { Ok(run.await?) }.instrument(info_span!("node"))
    }))
}

async fn start_ingress(layout: &Layout) -> anyhow::Result<Plane> {
    let ingress = Ingress::bind(meshlite_ingress::Config {
        node_name: NODE_NAME.to_owned(),
        control_plane: vec![format!("http://{}", layout.grpc)],
        address: layout.http.ip(),
        admin_listen: Some(layout.ingress_admin),
        drain_timeout: DRAIN,
        ..meshlite_ingress::Config::default()
    })
    .await?;
    Ok(Plane::spawn(|stop| {
        let run = ingress.run(stop);
        async { Ok(run.await?) }.instrument(info_span!("ingress"))
    }))
}

// === impl Plane ===

impl Plane {
    fn spawn<F>(run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(stop.clone()));
        Self { stop, task }
    }

    /// Waits until it ends though nobody stopped it.
    async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.task).await {
            Ok(Ok(())) => anyhow::anyhow!("nobody stopped it"),
            Ok(Err(error)) => error,
            Err(panic) => panic.into(),
        }
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        (&mut self.task).await?
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
