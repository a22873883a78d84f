//! How soon a change in the API server is what the ingress does: one change at a time, while nothing else happens.
//!
//! ```text
//! patch ─> etcd, kube-apiserver ═watch═> meshlite control-plane ═gRPC, TLS, token═> meshlite ingress <─ requests, one after another
//!    └─ answered ................................ from here to the first request that is served the new way ┘
//! ```
#![expect(clippy::print_stderr, reason = "progress of a long run")]

mod client;
mod cluster;
mod objects;
mod origin;
mod planes;
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
        _ => bail!("usage: propagation [--quick]"),
    }
}
