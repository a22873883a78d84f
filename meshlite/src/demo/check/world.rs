//! What the checks act on: a demo on free ports in a temporary folder, and where its Services are.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use anyhow::{Context, ensure};
use meshlite_snapshot::Service;

use super::super::{
    certificates::Authority,
    client,
    folder::Folder,
    layout::{Layout, Servers},
    mesh::{self, Mesh},
    status,
};
use crate::get::{self, View};

/// A demo that is checked.
#[derive(Debug)]
pub(super) struct World {
    pub(super) mesh: Mesh,
    pub(super) folder: Folder,
    pub(super) authority: Authority,
}

// === impl World ===

impl World {
    /// Starts a demo and waits until its planes agree.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let layout = Layout::choose(Servers::Apart)?;
        let folder = Folder::create()?;
        let authority = Authority::new()?;
        folder.write_built_in(&layout, &authority)?;
        let outsiders = mesh::start_outsiders(&layout)?;
        let mesh = Mesh::start(layout, folder.manifests(), folder.state(), outsiders).await?;
        let world = Self {
            mesh,
            folder,
            authority,
        };
        status::converged(&world.mesh.layout).await?;
        Ok(world)
    }

    /// Ends the demo.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.mesh.end().await
    }

    /// Where the ingress serves HTTP.
    pub(super) fn http(&self) -> SocketAddr {
        self.mesh.layout.http
    }

    /// Where the ingress serves HTTPS.
    pub(super) fn https(&self) -> SocketAddr {
        self.mesh.layout.https
    }

    /// What the control plane serves.
    pub(super) async fn view(&self) -> anyhow::Result<View> {
        get::fetch(&format!("http://{}", self.mesh.layout.grpc)).await
    }

    /// A Service of the namespace `default`, as the control plane serves it.
    pub(super) async fn service(&self, name: &str) -> anyhow::Result<Service> {
        let view = self.view().await?;
        let service = view
            .snapshot
            .services
            .get(format!("default/{name}").as_str());
        Ok(service
            .with_context(|| format!("no Service {name}"))?
            .as_ref()
            .clone())
    }

    /// Where a client reaches a port of a Service's cluster IP.
    pub(super) async fn cluster_ip(&self, name: &str, port: u16) -> anyhow::Result<SocketAddr> {
        let service = self.service(name).await?;
        let ip = service
            .cluster_ips
            .first()
            .with_context(|| format!("{name} has no cluster IP"))?;
        self.reach(SocketAddr::new(*ip, port)).await
    }

    /// Where a client reaches a virtual server: elsewhere, if its port is below 1024 and could not be bound.
    pub(super) async fn reach(&self, frontend: SocketAddr) -> anyhow::Result<SocketAddr> {
        let bound = status::bound(self.mesh.layout.node_metrics).await?;
        bound
            .get(&frontend)
            .copied()
            .with_context(|| format!("no virtual server {frontend}"))
    }

    /// The Pods that answer a number of requests, each over its own connection, and how often.
    pub(super) async fn pods(
        &self,
        addr: SocketAddr,
        requests: u32,
    ) -> anyhow::Result<BTreeMap<String, u32>> {
        let mut pods = BTreeMap::new();
        for _ in 0..requests {
            let answer = client::get(addr, "localhost", "/").await?;
            *pods.entry(answer.pod()?.to_owned()).or_default() += 1;
        }
        Ok(pods)
    }

    /// The Pods that serve a host and path of the ingress.
    pub(super) async fn routed(&self, host: &str, path: &str) -> anyhow::Result<BTreeSet<String>> {
        let mut pods = BTreeSet::new();
        for _ in 0..8 {
            let answer = client::get(self.http(), host, path).await?;
            pods.insert(answer.pod()?.to_owned());
        }
        Ok(pods)
    }

    /// Replaces texts that are there once in a manifest.
    pub(super) fn edit(&self, manifest: &str, changes: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut text = self.folder.read(manifest)?;
        for (from, to) in changes {
            let count = text.matches(from).count();
            ensure!(count == 1, "{manifest} holds {from:?} {count} times");
            text = text.replace(from, to);
        }
        self.folder.write(manifest, &text)
    }
}

/// Whether every name begins so, and there are as many as expected.
pub(super) fn all_of(
    pods: impl IntoIterator<Item: AsRef<str>>,
    prefix: &str,
    count: usize,
) -> anyhow::Result<()> {
    let pods: BTreeSet<_> = pods
        .into_iter()
        .map(|pod| pod.as_ref().to_owned())
        .collect();
    let fits = pods.len() == count && pods.iter().all(|pod| pod.starts_with(prefix));
    ensure!(
        fits,
        "{count} Pods {prefix}* should have answered; those that did: {pods:?}"
    );
    Ok(())
}
