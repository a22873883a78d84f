//! Thousands of data planes on one control plane: how soon a change is everywhere, what it costs, and what a bare server
//! that sends the same bytes would need.
//!
//! ```text
//! world ─> api ═HTTP═> meshlite control-plane ═gRPC, TLS, tokens═> fleet of honest clients ─> figures
//!                                         floor ═the same bytes══> fleet
//! ```
#![expect(clippy::print_stderr, reason = "progress of a long run")]

mod api;
mod changes;
mod client;
mod cluster;
mod fleet;
mod floor;
mod histogram;
mod keys;
mod nodes;
mod run;
mod server;
mod world;

use std::{path::Path, time::SystemTime};

use anyhow::{Context as _, bail};
use meshlite_tests::process;

use crate::run::Plan;

/// The allocator of the `meshlite` command.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["floor", folder] => runtime.block_on(floor::run(Path::new(folder))),
        [] => runtime.block_on(run::run(Plan::FULL)),
        ["--quick"] => runtime.block_on(run::run(Plan::QUICK)),
        ["--streams", streams] => {
            let streams = streams.parse().context("--streams takes a number")?;
            runtime.block_on(run::run(Plan {
                streams,
                ..Plan::FULL
            }))
        }
        _ => bail!("usage: fanout [--quick | --streams N]"),
    }
}

/// The time of day: what Kubernetes writes into objects and tokens.
#[expect(
    clippy::disallowed_methods,
    reason = "objects and tokens carry real times"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
