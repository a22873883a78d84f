//! What is measured in a kernel with IPVS: the floors, kube-proxy, and Meshlite.

use std::time::Duration;

use anyhow::Context as _;
use meshlite_tests::figures::millis;
use tokio::runtime::Handle;

use crate::{
    arena::Arena,
    floor::{self, copy::Copy},
    guest::Orders,
    nftables::micros,
    objects::Size,
    plan::{EMULATED, ENDPOINTS, Plan},
    report::{Report, add_felt, add_outcome, ratio},
    scene::Scene,
    subject::{Task, measure as subject, measure_and},
    traffic::{self, Felt},
    watch::{Mode, Proxy},
};

const OURS: Proxy = Proxy::Ours(Mode::Ipvs);
const KUBE_PROXY: Proxy = Proxy::KubeProxy(Mode::Ipvs);

/// Measures all of it: first what everything else is compared with.
pub(crate) fn measure(runtime: &Handle, orders: &Orders, report: &mut Report) {
    let plan = orders.plan();
    let mut node = None;
    // First of all: programs that run for the first time are read from the other side, and translated.
    report.section("traffic through IPVS", |report| {
        let task = Task {
            starts: 1,
            changes: 0,
            idle: Duration::ZERO,
            traffic: Some(EMULATED),
        };
        let copy = |arena: &Arena| Copy::of(arena.node());
        let (outcome, copy) = measure_and(runtime, OURS, &orders.one, task, copy)?;
        add_outcome(report, "ipvs_1", &outcome);
        node = Some(copy);
        Ok(())
    });
    for (scene, &services) in orders.scenes.iter().zip(plan.ipvs_sizes) {
        report.section(&format!("IPVS, {services} Services"), |report| {
            let node = node.as_ref().context("no node's table was read")?;
            one_size(runtime, plan, (node, scene, services), report)
        });
    }
    report.section("kube-proxy and Meshlite, IPVS", |report| {
        compared(runtime, plan, &orders.compared, report)
    });
}

fn one_size(
    runtime: &Handle,
    plan: Plan,
    (node, scene, services): (&Copy, &Scene, u32),
    report: &mut Report,
) -> anyhow::Result<()> {
    let size = Size {
        services,
        endpoints: ENDPOINTS,
    };
    let is_largest = plan.ipvs_sizes.last() == Some(&services);
    // The emulated kernel needs a minute for each of the largest.
    let rounds = if is_largest { 1 } else { plan.runs };
    let rules = node.with_services(size)?;
    let bare = floor::bare::netlink(runtime, scene, &rules, rounds)?;
    let name = format!("ipvs_{services}");
    report.add(
        &format!("{name}_netlink_s"),
        seconds(bare.load),
        "bare loops that send the same rules, virtual servers, destinations and routes",
    );
    report.add(
        &format!("{name}_servers_s"),
        seconds(bare.servers),
        "of that, virtual servers and destinations",
    );
    let ipvsadm = floor::ipvsadm(size, if services > 1_000 { 1 } else { rounds })?;
    report.add(
        &format!("{name}_ipvsadm_s"),
        seconds(ipvsadm),
        "`ipvsadm -R` of the same",
    );
    let task = Task {
        starts: rounds.into(),
        traffic: is_largest.then_some(EMULATED),
        ..plan.task()
    };
    let ours = subject(runtime, OURS, scene, task)?;
    add_outcome(report, &name, &ours);
    let over = |ours: Duration, floor: Duration| ratio(ours.as_secs_f64(), floor.as_secs_f64());
    let of = |key: &str| {
        if is_largest {
            key.to_owned()
        } else {
            format!("{key}_at_{services}")
        }
    };
    report.add(
        &of("ipvs_vs_floor"),
        over(ours.first_sync, bare.load),
        "the first pass over the bare loops, IPVS",
    );
    report.add(
        &of("ipvs_vs_servers"),
        over(ours.first_sync, bare.servers),
        "the first pass over a bare loop that makes virtual servers and destinations only",
    );
    report.add(
        &of("ipvs_vs_ipvsadm"),
        over(ours.first_sync, ipvsadm),
        "the first pass over `ipvsadm -R`",
    );
    report.add(
        &format!("{name}_one_endpoint_ms"),
        micros(ours.changed_sync),
        "one endpoint changed: the node's work until it is programmed, IPVS",
    );
    report.add(
        &format!("{name}_bare_change_ms"),
        micros(bare.change),
        "the same two messages in a bare loop",
    );
    report.add(
        &of("ipvs_one_endpoint_vs_floor"),
        over(ours.changed_sync, bare.change),
        "one endpoint changed, over the bare loop, IPVS",
    );
    Ok(())
}

fn compared(
    runtime: &Handle,
    plan: Plan,
    scene: &Scene,
    report: &mut Report,
) -> anyhow::Result<()> {
    let task = Task {
        starts: plan.runs.into(),
        changes: 3,
        idle: Duration::ZERO,
        traffic: Some(EMULATED),
    };
    let Size {
        services,
        endpoints,
    } = plan.compared_ipvs;
    report.add(
        "ipvs_compared_services",
        services,
        "Services beside kube-proxy",
    );
    report.add("ipvs_compared_endpoints", endpoints, "endpoints of each");
    let ours = subject(runtime, OURS, scene, task);
    if let Ok(ours) = &ours {
        add_outcome(report, "ipvs_compared", ours);
    }
    let arena = Arena::new(runtime, scene)?;
    let theirs = arena.start(KUBE_PROXY, scene)?;
    report.add(
        "kube_proxy_ipvs_start_ms",
        millis(theirs.took),
        "process start until the kernel has all virtual servers and destinations",
    );
    let ours = ours?;
    report.add(
        "ipvs_servers_vs_kube_proxy",
        ratio(ours.took.as_secs_f64(), theirs.took.as_secs_f64()),
        "process start to all virtual servers and destinations, the same API server",
    );
    // Its sets and rules come after its virtual servers, and take it minutes where the machine is emulated: a program that
    // it starts for each address.
    let pass = arena.first_sync();
    let until = theirs.age();
    report.add(
        "kube_proxy_ipvs_programmed_ms",
        millis(until),
        if pass.is_ok() {
            "process start to the end of its first pass"
        } else {
            "process start to when it was waited for no longer: its first pass went on"
        },
    );
    report.add(
        "ipvs_vs_kube_proxy",
        ratio(ours.programmed.as_secs_f64(), until.as_secs_f64()),
        "process start to the end of the first pass, with sets and rules, the same API server",
    );
    report.section("traffic through kube-proxy's IPVS", |report| {
        let pass = pass?;
        report.add("kube_proxy_ipvs_sync_ms", millis(pass), "its first pass");
        report.add(
            "ipvs_pass_vs_kube_proxy",
            ratio(ours.first_sync.as_secs_f64(), pass.as_secs_f64()),
            "the first pass over its first pass, with the rules that each needs, the same API server",
        );
        traffic::serve(arena.server())?;
        let felt = traffic::feel(arena.client(), scene.size.answering(), EMULATED)?;
        add_felt(report, "kube_proxy_ipvs", felt);
        let first = |felt: Felt| felt.first_packet.as_secs_f64();
        if let Some(ours) = ours.felt {
            report.add(
                "first_packet_vs_kube_proxy_ipvs",
                ratio(first(ours), first(felt)),
                "a new connection, IPVS, the same Services",
            );
        }
        Ok(())
    });
    Ok(())
}

fn seconds(time: Duration) -> f64 {
    millis(time) / 1_000.0
}
