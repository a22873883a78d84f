//! What is measured in this machine's kernel: nftables beside kube-proxy and its floors, and user space.

use std::time::Duration;

use meshlite_tests::figures::millis;

use crate::{
    arena::Arena,
    floor::{self, copy::Copy},
    objects::Size,
    plan::{ENDPOINTS, LARGEST, NATIVE, ONE, Plan},
    report::{Report, add_felt, add_outcome, ratio},
    scene::Scene,
    stage::Stage,
    subject::{Outcome, Task, beside_each_other, measure as subject, measure_and},
    traffic::Felt,
    watch::{Mode, Proxy},
};

const OURS: Proxy = Proxy::Ours(Mode::Nftables);
const KUBE_PROXY: Proxy = Proxy::KubeProxy(Mode::Nftables);
const USERSPACE: Proxy = Proxy::Ours(Mode::Userspace);

/// The least that it takes others: `nft -f`, and bare transactions.
struct Floors {
    script: Duration,
    bare: Duration,
    script_change: Duration,
    bare_change: Duration,
}

// === impl Floors ===

impl Floors {
    /// With the table that this node has.
    fn measure(stage: &Stage, plan: Plan, scene: &Scene, arena: &Arena) -> anyhow::Result<Self> {
        let copy = Copy::of(arena.node())?;
        Ok(Self {
            script: floor::nft(arena.node(), plan.runs)?,
            bare: copy.load(plan.runs.max(3))?,
            script_change: copy.change_by_script()?,
            bare_change: copy.change(stage.runtime(), scene)?,
        })
    }

    fn report(&self, name: &str, report: &mut Report) {
        report.add(
            &format!("{name}_bare_ms"),
            millis(self.bare),
            "a bare transaction that makes the same table",
        );
        report.add(
            &format!("{name}_bare_change_ms"),
            micros(self.bare_change),
            "a bare transaction that changes an endpoint, once the control plane says that one did",
        );
        report.add(
            &format!("{name}_script_change_ms"),
            micros(self.script_change),
            "`nft -f` of what changes an endpoint",
        );
        report.add(
            &format!("{name}_script_ms"),
            millis(self.script),
            "`nft -f` of the rules that the node programmed",
        );
    }
}

/// Measures all of it.
pub(crate) fn measure(stage: &Stage, plan: Plan, report: &mut Report) {
    let mut section = |name: &str, measure: &dyn Fn(&mut Report) -> anyhow::Result<()>| {
        report.section(name, |report| {
            stage.time_but(plan.guest)?;
            measure(report)
        });
    };
    section("kube-proxy and Meshlite, nftables", &|report| {
        compared(stage, plan, report)
    });
    for &services in plan.sizes {
        section(&format!("nftables, {services} Services"), &|report| {
            one_size(stage, plan, services, report)
        });
    }
    section("nftables with the most Services", &|report| {
        largest(stage, plan, report)
    });
    for proxy in [OURS, USERSPACE] {
        section(&format!("traffic, {}", proxy.mode().name()), &|report| {
            traffic_of(stage, plan, proxy, report)
        });
    }
}

fn compared(stage: &Stage, plan: Plan, report: &mut Report) -> anyhow::Result<()> {
    let set = stage.on_api_server(plan.compared_nft)?;
    let scene = set.scene();
    let task = plan.task();
    let Size {
        services,
        endpoints,
    } = plan.compared_nft;
    report.add(
        "nft_compared_services",
        services,
        "Services beside kube-proxy",
    );
    report.add("nft_compared_endpoints", endpoints, "endpoints of each");
    // It takes its time, and its figures vary little.
    let theirs = Task { starts: 1, ..task };
    let theirs = subject(stage.runtime(), KUBE_PROXY, scene, theirs)?;
    add_outcome(report, "kube_proxy_nft", &theirs);
    let ours = subject(stage.runtime(), OURS, scene, task)?;
    add_outcome(report, "nft_compared", &ours);
    let seconds = |outcome: &Outcome| outcome.took.as_secs_f64();
    report.add(
        "nft_vs_kube_proxy",
        ratio(seconds(&ours), seconds(&theirs)),
        "process start to programmed, nftables, the same API server",
    );
    let felt = beside_each_other(stage.runtime(), &[OURS, KUBE_PROXY], scene, NATIVE)?;
    if let [ours, theirs] = felt[..] {
        add_felt(report, "nft_compared", ours);
        add_felt(report, "kube_proxy_nft", theirs);
        let first = |felt: Felt| felt.first_packet.as_secs_f64();
        report.add(
            "first_packet_vs_kube_proxy",
            ratio(first(ours), first(theirs)),
            "a new connection, nftables, the same Services, by turns",
        );
    }
    Ok(())
}

fn one_size(stage: &Stage, plan: Plan, services: u32, report: &mut Report) -> anyhow::Result<()> {
    let size = Size {
        services,
        endpoints: ENDPOINTS,
    };
    let is_largest = plan.sizes.last() == Some(&services);
    let name = format!("nft_{services}");
    let set = stage.on_manifests(size)?;
    let task = Task {
        idle: if is_largest {
            plan.idle
        } else {
            Duration::ZERO
        },
        ..plan.task()
    };
    let scene = set.scene();
    let floors = |arena: &Arena| Floors::measure(stage, plan, scene, arena);
    let (ours, floors) = measure_and(stage.runtime(), OURS, scene, task, floors)?;
    add_outcome(report, &name, &ours);
    floors.report(&name, report);
    let thousands = services / 1_000;
    report.add(
        &format!("one_endpoint_ms_at_{thousands}k"),
        micros(ours.changed_sync),
        "one endpoint changed: the node's work until it is programmed, nftables",
    );
    if is_largest {
        let over = |ours: Duration, floor: Duration| ratio(ours.as_secs_f64(), floor.as_secs_f64());
        report.add(
            "nft_vs_floor",
            over(ours.first_sync, floors.script),
            "the first pass over `nft -f` of the same rules",
        );
        report.add(
            "nft_vs_bare",
            over(ours.first_sync, floors.bare),
            "the first pass over a bare transaction",
        );
        report.add(
            "one_endpoint_vs_floor",
            over(ours.changed_sync, floors.bare_change),
            "one endpoint changed, over a bare transaction",
        );
        report.add(
            "one_endpoint_vs_script",
            over(ours.changed_sync, floors.script_change),
            "one endpoint changed, over `nft -f` of what changes it",
        );
        report.add(
            "idle_cpu_ms_per_min",
            millis(ours.idle_cpu),
            "the node's processor time where nothing changes, nftables",
        );
    }
    Ok(())
}

fn largest(stage: &Stage, plan: Plan, report: &mut Report) -> anyhow::Result<()> {
    let set = stage.on_manifests(LARGEST)?;
    let ours = subject(stage.runtime(), OURS, set.scene(), plan.task())?;
    add_outcome(report, "nft_44k", &ours);
    report.add(
        "nft_44k_load_s",
        seconds(ours.first_sync),
        "the first pass with 44,000 Services of 2 endpoints",
    );
    Ok(())
}

/// With one Service, and with as many as there are at most.
fn traffic_of(stage: &Stage, plan: Plan, proxy: Proxy, report: &mut Report) -> anyhow::Result<()> {
    let many = plan.sizes.last().copied().unwrap_or_default();
    let many = Size {
        services: many,
        endpoints: ENDPOINTS,
    };
    for size in [ONE, many] {
        let set = stage.on_manifests(size)?;
        let task = Task {
            starts: 1,
            changes: 0,
            idle: Duration::ZERO,
            traffic: Some(NATIVE),
        };
        let outcome = subject(stage.runtime(), proxy, set.scene(), task)?;
        let name = format!("{}_{}", proxy.mode().name(), size.services);
        add_outcome(report, &name, &outcome);
    }
    Ok(())
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}

/// Milliseconds with three decimals.
pub(crate) fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
