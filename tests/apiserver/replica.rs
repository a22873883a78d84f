//! The control plane as a program of the tests: told on its standard input what to do, and gone when they are.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
};

use anyhow::Context as _;
use meshlite_control_plane::ControlPlane;
use meshlite_runtime::logging::{self, LogFormat};
use meshlite_tests::replica::{Bound, ReplicaConfig};
use nix::sys::{prctl, signal::Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    // Also where it was stopped, or the test was killed.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    logging::init(LogFormat::Text, "info,kube_client=off")?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok()
        .context("no other TLS provider is installed")?;
    let config: ReplicaConfig = serde_json::from_reader(io::stdin())?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(run(config))
}

async fn run(config: ReplicaConfig) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let control_plane = ControlPlane::bind(config.into()).await?;
    let admin = control_plane.admin_addr();
    say(
        control_plane.grpc_addr(),
        admin.context("it has an admin server")?,
    )?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        stopped.cancel();
    });
    Ok(control_plane.run(stop).await?)
}

fn say(grpc: SocketAddr, admin: SocketAddr) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&Bound { grpc, admin })?)?;
    Ok(out.flush()?)
}
