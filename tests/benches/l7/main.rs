//! The ingress beside nginx, haproxy, Envoy and others: what a request costs each of them, as the operating system counts it.
//!
//! ```text
//! objects ─> meshlite control-plane ═gRPC═> meshlite ingress ─┐
//! peers ─> nginx, haproxy, envoy, pingora, caddy, relay ──────┤<─HTTP─ load (wrk, h2load, clients)
//!                                                             └─HTTP─> nginx, origin
//! plan, cases, routes ─> rounds: one proxy after the other, again and again ─> medians ─> ratios ─> table, plot, JSON
//! ```
#![expect(clippy::print_stderr, reason = "progress of a long run")]

mod cases;
mod churn;
mod clients;
mod load;
mod lookup;
mod memory;
mod objects;
mod origin;
mod peers;
mod plan;
mod plot;
mod replay;
mod rounds;
mod routes;
mod stage;
mod syscalls;

use std::{
    env,
    io::{self, Write as _},
};

use meshlite_tests::figures::Figures;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    cases::Measured,
    plan::{Part, Plan},
    stage::{FLOOR, LOAD_CORE},
};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1).peekable();
    if arguments.next_if(|first| first == FLOOR).is_some() {
        return peers::relay(arguments);
    }
    // Clients and origins that are threads of this process have the core that other clients have.
    let mut core = CpuSet::new();
    core.set(LOAD_CORE)?;
    sched_setaffinity(Pid::from_raw(0), &core)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(&Plan::read(arguments)?))
}

async fn run(plan: &Plan) -> anyhow::Result<()> {
    let minutes = plan.limit().as_secs() / 60;
    eprintln!("at most {minutes} minutes: what has not begun by then is left out");
    let (mut figures, mut measured) = (Figures::default(), Measured::new());
    cases::run(plan, &mut figures, &mut measured).await;
    for part in Part::ALL {
        if plan.has(part.name()) {
            let done = one(part, plan, &mut figures, &mut measured).await;
            or_null(done, part.figures(), &mut figures);
        }
    }
    print(plan, figures, &measured)
}

async fn one(
    part: Part,
    plan: &Plan,
    figures: &mut Figures,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    plan.in_time()?;
    match part {
        Part::Routes => routes::run(plan, figures, measured).await,
        Part::Idle => memory::idle_connections(plan, figures).await,
        Part::Syscalls => syscalls::run(plan, figures).await,
        Part::Churn => churn::run(plan, figures).await,
        Part::Lookup => lookup::run(plan, figures).await,
    }
}

fn print(plan: &Plan, mut figures: Figures, measured: &Measured) -> anyhow::Result<()> {
    figures.attach("cases", cases::json(measured));
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", cases::table(measured))?;
    let plotted = plot::write(measured)?;
    figures.print(
        &format!(
            "the ingress beside others; ratios are ours over theirs; one core for the proxy, one for load and origins; \
             medians of {} interleaved rounds of {} s; plot in {}",
            plan.rounds(),
            plan.time().as_secs(),
            plotted.display()
        ),
        out,
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
