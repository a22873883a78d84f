//! The way into a virtual machine and back: orders as an argument, figures as lines.

use std::{
    io::{BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    ipvs,
    objects::Size,
    plan::{ENDPOINTS, ONE, Plan},
    report::Report,
    scene::Scene,
    stage::Stage,
};

/// As the first argument, it makes this program measure what is in its second, in its own kernel.
pub(crate) const HERE: &str = "ipvs-here";
/// How long before the end of a run the machine ends.
const LAST: Duration = Duration::from_secs(10);
/// The host's loopback, as the virtual machine sees it.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2));
/// With every scheduler that is used: the kernel loads one by itself too, but takes a lock meanwhile.
const MODULES: [&str; 5] = ["-a", "ip_vs", "ip_vs_rr", "dummy", "nf_conntrack"];

/// What is to be measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    is_quick: bool,
    pub(crate) compared: Scene,
    /// For each of the plan's sizes.
    pub(crate) scenes: Vec<Scene>,
    pub(crate) one: Scene,
}

// === impl Orders ===

impl Orders {
    pub(crate) const fn plan(&self) -> Plan {
        if self.is_quick {
            Plan::QUICK
        } else {
            Plan::FULL
        }
    }
}

/// Boots the machine, and takes what it measures.
pub(crate) fn measure(stage: &Stage, plan: Plan, report: &mut Report) -> anyhow::Result<()> {
    let compared = stage.on_api_server(plan.compared_ipvs)?;
    let sets = plan.ipvs_sizes.iter().map(|&services| {
        stage.on_manifests(Size {
            services,
            endpoints: ENDPOINTS,
        })
    });
    let sets = sets.collect::<Result<Vec<_>, _>>()?;
    let one = stage.on_manifests(ONE)?;
    let orders = Orders {
        is_quick: plan.is_quick,
        compared: compared.scene().seen_from(LOOPBACK),
        scenes: sets
            .iter()
            .map(|set| set.scene().seen_from(LOOPBACK))
            .collect(),
        one: one.scene().seen_from(LOOPBACK),
    };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm/run");
    let limit = plan.guest.min(stage.time_but(LAST)?);
    let mut machine = Command::new("setpriv")
        .args(["--pdeathsig", "TERM"])
        .arg(program)
        .args(["--limit", &limit.as_secs().to_string()])
        .arg(std::env::current_exe()?)
        .args([HERE, &serde_json::to_string(&orders)?])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = machine.stdout.take().context("it has no output")?;
    for line in BufReader::new(output).lines() {
        report.take(&line?);
    }
    let status = machine.wait()?;
    ensure!(status.success(), "the virtual machine ended with {status}");
    Ok(())
}

/// Measures in this kernel.
pub(crate) fn run(orders: &str) -> anyhow::Result<()> {
    let orders: Orders = serde_json::from_str(orders)?;
    let loaded = Command::new("modprobe").args(MODULES).status()?;
    ensure!(loaded.success(), "modprobe ended with {loaded}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    ipvs::measure(runtime.handle(), &orders, &mut Report::Guest);
    Ok(())
}
