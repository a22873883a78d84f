//! The control plane on a real API server: time and memory until it is ready, and how soon what changes there is published.
//!
//! ```text
//! objects ─> cluster ─> etcd, kube-apiserver ═lists, watches═> meshlite control-plane ═TLS, token═> follower ─> figures
//! ```
#![expect(clippy::print_stderr, reason = "progress of a long run")]

mod cluster;
mod follower;
mod objects;
mod replica;
mod run;

use anyhow::bail;

use crate::run::Plan;

fn main() -> anyhow::Result<()> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => runtime.block_on(run::run(Plan::FULL)),
        ["--quick"] => runtime.block_on(run::run(Plan::QUICK)),
        _ => bail!("usage: apiserver [--quick]"),
    }
}
