//! The ingress beside nginx, haproxy and Envoy: what a request costs each of them, as the operating system counts it.
//!
//! ```text
//! objects ─> meshlite control-plane ═gRPC═> meshlite ingress ─┐
//! peers ─> nginx, haproxy, envoy ─────────────────────────────┤<─HTTP─ load (wrk, h2load)
//!                                                             └─HTTP─> origin (nginx)
//! rounds: one proxy after the other, again and again ─> medians ─> ratios ─> table, plot, JSON
//! ```
#![expect(clippy::print_stderr, reason = "progress of a long run")]

mod cases;
mod churn;
mod load;
mod lookup;
mod memory;
mod objects;
mod peers;
mod plot;
mod rounds;
mod stage;
mod syscalls;

use std::{io, time::Duration};

use anyhow::bail;
use meshlite_tests::figures::Figures;
use serde_json::Value;

use crate::stage::Stage;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rounds: usize,
    /// Of load in one round, for each proxy.
    seconds: u64,
}

impl Plan {
    const FULL: Self = Self {
        rounds: 7,
        seconds: 5,
    };
    const QUICK: Self = Self {
        rounds: 3,
        seconds: 1,
    };

    fn time(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => runtime.block_on(run(Plan::FULL)),
        ["--quick"] => runtime.block_on(run(Plan::QUICK)),
        _ => bail!("usage: l7 [--quick]"),
    }
}

async fn run(plan: Plan) -> anyhow::Result<()> {
    let mut figures = Figures::default();
    let stage = Stage::set(1).await?;
    let measured = cases::run(&stage, plan, &mut figures).await;
    let counted = syscalls::run(&stage, plan, &mut figures).await;
    or_null(counted, &syscalls::FIGURES, &mut figures);
    let weighed = memory::idle_connections(&stage, &mut figures).await;
    or_null(weighed, &[], &mut figures);
    drop(stage);
    let churned = churn::run(plan, &mut figures).await;
    or_null(churned, &churn::FIGURES, &mut figures);
    let looked_up = lookup::run(&mut figures).await;
    or_null(looked_up, &lookup::FIGURES, &mut figures);
    let plotted = plot::write(&measured)?;
    figures.print(
        &format!(
            "the ingress beside others; ratios are ours over theirs; one core for the proxy, one for load and origin; \
             medians of {} interleaved rounds of {} s; plot in {}",
            plan.rounds,
            plan.seconds,
            plotted.display()
        ),
        io::stdout().lock(),
    )?;
    Ok(())
}

/// Figures that could not be measured are null, with the reason, and the others are worth their time all the same.
fn or_null(measured: anyhow::Result<()>, keys: &[&str], figures: &mut Figures) {
    let Err(error) = measured else {
        return;
    };
    eprintln!("not measured: {error:#}");
    for key in keys {
        if !figures.has(key) {
            figures.add(key, Value::Null, &format!("not measured: {error:#}"));
        }
    }
}
