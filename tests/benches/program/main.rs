//! How long it takes to program a node, and what clients feel then: Meshlite on each backend, beside the floors and kube-proxy.
//!
//! ```text
//!             ┌─> a real API server ─┬──────────────> kube-proxy ─┐
//! objects ─> source                  └─> control plane ─> node ───┼─> kernel ─> watch, traffic ─> report
//!             └─> manifests ───────────> control plane ─> node ───┤
//!                                        nft, ipvsadm, bare loops ┘
//! ```
//!
//! nftables and user space are measured in namespaces of this machine; IPVS in those of a virtual machine that is booted
//! once, where everything is slower: only ratios of what ran in the same boot mean something there.
#![expect(clippy::print_stderr, reason = "progress of a long run")]
#![expect(
    clippy::disallowed_types,
    reason = "measures wall time; nothing is paused here"
)]

mod arena;
mod director;
mod floor;
mod guest;
mod ipvs;
mod nftables;
mod objects;
mod plan;
mod report;
mod scene;
mod source;
mod stage;
mod subject;
mod traffic;
mod watch;

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Instant,
};

use anyhow::bail;
use meshlite_tests::figures::Figures;
use serde_json::Value;

use crate::{
    plan::Plan,
    report::{Entry, Report},
    stage::Stage,
};

/// What whoever reads the last line looks for.
const KEYS: [&str; 11] = [
    "ipvs_vs_floor",
    "ipvs_vs_ipvsadm",
    "ipvs_vs_kube_proxy",
    "nft_vs_kube_proxy",
    "nft_44k_load_s",
    "nft_vs_floor",
    "one_endpoint_ms_at_1k",
    "one_endpoint_ms_at_10k",
    "one_endpoint_vs_floor",
    "idle_cpu_ms_per_min",
    "first_packet_vs_kube_proxy",
];

fn main() -> anyhow::Result<()> {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => run(Plan::FULL),
        ["--quick"] => run(Plan::QUICK),
        [guest::HERE, orders] => guest::run(orders),
        _ => bail!("usage: program [--quick]"),
    }
}

/// Measures on another thread, so that what there is is printed when the time is up, whatever hangs.
fn run(plan: Plan) -> anyhow::Result<()> {
    let until = Instant::now() + plan.limit;
    let (sender, entries) = mpsc::channel();
    thread::spawn(move || {
        let mut report = Report::Here(sender);
        report.section("everything", |report| {
            let stage = Stage::new(until)?;
            nftables::measure(&stage, plan, report);
            report.section("IPVS", |report| guest::measure(&stage, plan, report));
            Ok(())
        });
    });
    let figures = collect(&entries, until);
    Ok(figures.print(
        "program: Services in the kernel (medians)",
        std::io::stdout().lock(),
    )?)
}

/// All figures; null for one that should be there and is not, with what was in the way of it.
fn collect(entries: &Receiver<Entry>, until: Instant) -> Figures {
    let mut figures = Figures::default();
    let mut missing = Vec::new();
    loop {
        match entries.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Entry::Figure(key, value, meaning)) => figures.add(&key, value, &meaning),
            Ok(Entry::Missing(why)) => missing.push(why),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                missing.push("the rest: the time is up".to_owned());
                break;
            }
        }
    }
    for key in KEYS {
        if !figures.has(key) {
            figures.add(key, Value::Null, "not measured: see not_measured");
        }
    }
    figures.add("not_measured", missing, "what was in the way of what");
    figures
}
