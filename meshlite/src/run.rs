//! Runs the planes: bind, say where, serve until a signal.

use anyhow::Context;
use meshlite_control_plane::ControlPlane;
use meshlite_ingress::Ingress;
use meshlite_node::Node;
use meshlite_runtime::signals;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use crate::config::StandaloneConfig;

/// Runs a control plane until a signal.
pub(crate) async fn control_plane(config: meshlite_control_plane::Config) -> anyhow::Result<()> {
    let stop = signals::stop_on_signals();
    info!(?config, "control plane starting");
    let control_plane = bind_control_plane(config).await?;
    control_plane.run(stop).await.context("control plane")
}

/// Runs a node data plane until a signal.
pub(crate) async fn node(config: meshlite_node::Config) -> anyhow::Result<()> {
    let stop = signals::stop_on_signals();
    info!(?config, "node starting");
    let node = Node::bind(config).await?;
    info!(node = node.node_name(), metrics = ?node.metrics_addr(), health = ?node.health_addr(), "node bound");
    node.run(stop).await.context("node")
}

/// Runs an ingress until a signal.
pub(crate) async fn ingress(config: meshlite_ingress::Config) -> anyhow::Result<()> {
    let stop = signals::stop_on_signals();
    info!(?config, "ingress starting");
    let ingress = Ingress::bind(named(config)).await?;
    info!(admin = ?ingress.admin_addr(), "ingress bound");
    ingress.run(stop).await.context("ingress")
}

/// Runs all three in this process until a signal, or until one of them fails.
pub(crate) async fn standalone(config: StandaloneConfig) -> anyhow::Result<()> {
    let stop = signals::stop_on_signals();
    info!(?config, "control plane, node and ingress starting");
    let StandaloneConfig {
        control_plane,
        node,
        ingress,
    } = config;
    let control_plane = bind_control_plane(control_plane).await?;
    let url = vec![format!("http://{}", reachable(control_plane.grpc_addr()))];
    let node = Node::bind(meshlite_node::Config {
        control_plane: url.clone(),
        ..node
    })
    .await?;
    let ingress = meshlite_ingress::Config {
        control_plane: url,
        ..ingress
    };
    let ingress = Ingress::bind(named(ingress)).await?;
    // The data planes drain while the control plane still answers them.
    let data_planes = stop;
    let control = CancellationToken::new();
    let control_plane = tokio::spawn(
        control_plane
            .run(control.clone())
            .instrument(info_span!("control_plane")),
    );
    let node = tokio::spawn(node.run(data_planes.clone()).instrument(info_span!("node")));
    let ingress = tokio::spawn(
        ingress
            .run(data_planes.clone())
            .instrument(info_span!("ingress")),
    );
    let ends_all = data_planes.clone().drop_guard();
    let watched = async move {
        let _ends_all = ends_all;
        tokio::select! {
            ended = control_plane => ended.context("control plane")?.context("control plane"),
            () = data_planes.cancelled() => Ok(()),
        }
    };
    let data = async {
        let (node, ingress) = tokio::join!(node, ingress);
        control.cancel();
        node.context("node")?.context("node")?;
        ingress.context("ingress")?.context("ingress")
    };
    let (watched, data) = tokio::join!(watched, data);
    watched.and(data)
}

async fn bind_control_plane(
    config: meshlite_control_plane::Config,
) -> anyhow::Result<ControlPlane> {
    let control_plane = ControlPlane::bind(config).await?;
    let (grpc, admin) = (control_plane.grpc_addr(), control_plane.admin_addr());
    info!(%grpc, ?admin, "control plane bound");
    if !grpc.ip().is_loopback() {
        warn!(%grpc, "gRPC is plaintext and carries private keys; --listen on loopback unless the network is trusted");
    }
    Ok(control_plane)
}

/// With the host's name, where no other is given: the control plane shows it.
fn named(mut config: meshlite_ingress::Config) -> meshlite_ingress::Config {
    if config.node_name.is_empty() {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        config.node_name = name.trim().to_lowercase();
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
