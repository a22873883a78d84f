//! IPVS against a real kernel, each test in a network namespace of its own. Takes root and the module `ip_vs`; where they
//! are not there the tests say so and pass, and with `IPVS_REQUIRED` set they fail. `tests/vm/ipvs` runs them.

mod arrivals;
mod failures;
mod others;
mod places;

use std::{process::Command, time::Duration};

use nix::sched::{CloneFlags, unshare};
use tokio::time::Instant;

use super::{Ipvs, Options};
use crate::{
    Config,
    config::VipBinding,
    host::testing::not_in_this_kernel,
    kernel::{Kernel, KernelError},
    plan::{Drains, Plan, plan},
    table::{Observed, Table},
    testing::as_table,
};

fn options() -> Options {
    Options {
        vip_binding: VipBinding::Address,
        exclude_cidrs: vec!["192.0.2.0/24".parse().unwrap()],
        timeouts: meshlite_ipvs::Timeouts::default(),
        drain_timeout: Duration::from_mins(1),
    }
}

/// Puts the thread into a network namespace that has IPVS. False, and a word about it, where that cannot be.
fn is_in_namespace() -> bool {
    let made = unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| errno.to_string());
    let found = made.and_then(|()| super::usable(&Config::default()));
    match found {
        Ok(_) => {
            ip("link set lo up");
            true
        }
        Err(error) => {
            not_in_this_kernel(&format!("no IPVS: {error}"));
            false
        }
    }
}

/// IPVS of a new network namespace, into which it puts the thread.
pub(crate) fn fresh() -> Option<Ipvs> {
    if !is_in_namespace() {
        return None;
    }
    Some(again(options()))
}

/// As after a restart.
fn again(options: Options) -> Ipvs {
    let schedulers = super::usable(&Config::default()).unwrap();
    Ipvs::start(options, schedulers).unwrap()
}

fn planned(desired: &Table, found: &Observed) -> Plan {
    plan(
        desired,
        found,
        &Drains::new(),
        Duration::from_secs(1),
        Instant::now(),
    )
}

/// Plans and applies, once.
async fn program<K: Kernel>(kernel: &mut K, desired: &Table) -> Result<Plan, KernelError> {
    let found = kernel.read().await?;
    let plan = planned(desired, &found);
    let steps = &plan.steps;
    for phase in steps.chunk_by(|a, b| a.phase() == b.phase()) {
        for result in kernel.apply(phase).await {
            result?;
        }
    }
    kernel.tidy().await;
    Ok(plan)
}

/// Plans and applies until nothing is left to do.
async fn settle<K: Kernel>(kernel: &mut K, desired: &Table) {
    for _ in 0..4 {
        if program(kernel, desired).await.unwrap().steps.is_empty() {
            let found = kernel.read().await.unwrap();
            assert_eq!(&as_table(&found), desired);
            return;
        }
    }
    let found = kernel.read().await.unwrap();
    panic!("still to do: {:#?}", planned(desired, &found).steps);
}

fn ip(arguments: &str) {
    run("ip", arguments);
}

/// Runs a program in the namespace, and gives what it prints.
fn run(program: &str, arguments: &str) -> String {
    let words = arguments.split(' ').filter(|word| !word.is_empty());
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `ipvsadm -Ln` shows, without its heading and with single spaces.
fn ipvsadm() -> Vec<String> {
    let shown = run("ipvsadm", "-Ln");
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    shown.lines().skip(3).map(line).collect()
}
