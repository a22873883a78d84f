//! Runs the planes: bind, say where, serve until a signal.

use std::{env, os::unix::fs::chroot, path::Path};

use anyhow::Context;
use meshlite_control_plane::{ControlPlane, Security};
use meshlite_ingress::Ingress;
use meshlite_node::Node;
use meshlite_runtime::signals;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::display, info, info_span, warn};

use crate::config::{NodeConfig, StandaloneConfig, host_name};

mod effective;
mod successor;

pub(crate) use effective::say;

/// Makes the host's root this process's own: programs and their libraries are the host's from here on.
pub(crate) fn enter(root: &Path) -> anyhow::Result<()> {
    chroot(root)
        .and_then(|()| env::set_current_dir("/"))
        .with_context(|| format!("--host-root {}", root.display()))
}

/// Runs a control plane until a signal.
pub(crate) async fn control_plane(config: meshlite_control_plane::Config) -> anyhow::Result<()> {
    let stop = signals::stop_on_signals();
    effective::control_plane(&config);
    let control_plane = bind_control_plane(config).await?;
    control_plane.run(stop).await.context("control plane")
}

/// Runs a node data plane until a signal.
pub(crate) async fn node(config: NodeConfig) -> anyhow::Result<()> {
    let stop = signals::stop_on_signals();
    effective::node(&config);
    let node = bind_node(config.node).await?;
    node.run(stop).await.context("node")
}

/// Runs an ingress until a signal.
pub(crate) async fn ingress(config: meshlite_ingress::Config) -> anyhow::Result<()> {
    let stop = signals::stop_on_signals();
    let config = named(config);
    effective::ingress(&config);
    let can_be_succeeded = config.takeover.is_some();
    let ingress = bind_ingress(config).await?;
    if can_be_succeeded {
        tokio::spawn(successor::start_on_hangup());
    }
    let serving = ingress.serving();
    tokio::spawn(async move {
        serving.cancelled().await;
        if let Err(error) = successor::tell_supervisor() {
            warn!(%error, "systemd cannot be told that the ingress is ready");
        }
    });
    ingress.run(stop).await.context("ingress")
}

/// Runs all three in this process until a signal, or until one of them fails.
pub(crate) async fn standalone(config: StandaloneConfig) -> anyhow::Result<()> {
    let stop = signals::stop_on_signals();
    let StandaloneConfig {
        control_plane,
        node,
        ingress,
    } = config;
    let mut ingress = named(ingress);
    effective::control_plane(&control_plane);
    effective::node(&node);
    let mut node = node.node;
    effective::ingress(&ingress);
    let control_plane = bind_control_plane(control_plane).await?;
    let url = format!("http://{}", reachable(control_plane.grpc_addr()));
    node.control_plane = vec![url.clone()];
    ingress.control_plane = vec![url];
    let in_node = info_span!("node");
    let node = bind_node(node).instrument(in_node.clone()).await?;
    let ingress = bind_ingress(ingress).await?;

    // The data planes drain while the control plane still answers them.
    let control_stop = CancellationToken::new();
    let mut control_plane = tokio::spawn(
        control_plane
            .run(control_stop.clone())
            .instrument(info_span!("control_plane")),
    );
    let mut data_planes = JoinSet::new();
    let run = node.run(stop.clone());
    let run = async move { run.await.context("node") };
    data_planes.spawn(run.instrument(in_node));
    let run = ingress.run(stop.clone());
    let run = async move { run.await.context("ingress") };
    data_planes.spawn(run.instrument(info_span!("ingress")));

    let first = tokio::select! {
        ended = &mut control_plane => {
            stop.cancel();
            let others = all(data_planes).await;
            return ended?.context("control plane").and(others);
        }
        Some(ended) = data_planes.join_next() => ended?,
    };
    stop.cancel();
    let second = all(data_planes).await;
    control_stop.cancel();
    let third = control_plane.await?.context("control plane");
    first.and(second).and(third)
}

/// Waits for all of them; the first failure is the result.
async fn all(mut planes: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = planes.join_next().await {
        result = result.and(ended?);
    }
    result
}

async fn bind_node(config: meshlite_node::Config) -> anyhow::Result<Node> {
    let node = Node::bind(config).await?;
    let metrics = node.metrics_addr().map(display);
    let health = node.health_addr().map(display);
    info!(node = node.node_name(), metrics, health, "node bound");
    Ok(node)
}

async fn bind_ingress(config: meshlite_ingress::Config) -> anyhow::Result<Ingress> {
    let ingress = Ingress::bind(config).await?;
    info!(admin = ingress.admin_addr().map(display), "ingress bound");
    Ok(ingress)
}

async fn bind_control_plane(
    config: meshlite_control_plane::Config,
) -> anyhow::Result<ControlPlane> {
    let is_plaintext = matches!(config.security, Security::Insecure);
    let control_plane = ControlPlane::bind(config).await?;
    let (grpc, admin) = (control_plane.grpc_addr(), control_plane.admin_addr());
    info!(%grpc, admin = admin.map(display), "control plane bound");
    if is_plaintext && !grpc.ip().is_loopback() {
        warn!(%grpc, "gRPC is plaintext and everybody who can connect may read private keys; leave --insecure away unless the network is trusted");
    }
    Ok(control_plane)
}

/// With the host's name, where no other is given: the control plane shows it.
fn named(mut config: meshlite_ingress::Config) -> meshlite_ingress::Config {
    if config.node_name.is_empty() {
        config.node_name = host_name();
    }
    config
}

/// The address to connect to for one that may be bound on all interfaces.
fn reachable(addr: std::net::SocketAddr) -> std::net::SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    std::net::SocketAddr::new(ip, addr.port())
}
