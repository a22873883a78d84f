//! In the kernel, in network namespaces of their own.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use meshlite_snapshot::AddressFamily;
use tokio::time::Instant;

use crate::{
    host::testing::{in_namespace, run},
    kernel::{Kernel as _, KernelError, nftables::Nftables},
    plan::{Drains, Plan, Step, plan},
    table::{
        Key, LocalDetector, Masquerade, Scheduler, Table, VirtualAddress, VirtualServer, WhenEmpty,
    },
    testing::{as_table, key, mk_table, real, server},
};

/// Runs a test with a network namespace for its kernels.
pub(super) fn in_kernel<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    in_namespace(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(test());
    });
}

pub(super) async fn plan_for(kernel: &mut Nftables, desired: &Table) -> Plan {
    let found = kernel.read().await.unwrap();
    let now = Instant::now();
    plan(desired, &found, &Drains::new(), Duration::ZERO, now)
}

/// Programs a table phase by phase, until nothing is left to do.
pub(super) async fn settle(kernel: &mut Nftables, desired: &Table) {
    for _ in 0..5 {
        let plan = plan_for(kernel, desired).await;
        if plan.steps.is_empty() {
            return;
        }
        for phase in plan.steps.chunk_by(|a, b| a.phase() == b.phase()) {
            for result in kernel.apply(phase).await {
                result.unwrap();
            }
        }
    }
    panic!(
        "steps are left: {:?}",
        plan_for(kernel, desired).await.steps
    );
}

/// A table with one of everything.
fn everything() -> Table {
    let web = key("TCP 10.96.0.1:80");
    let mut sticky = server(&[("10.244.0.1:8080", 1), ("10.244.0.2:8080", 3)]);
    sticky.settings.persistence = Some(10_800);
    sticky.settings.scheduler = Scheduler::Wrr;
    sticky.settings.source_ranges = Arc::new(["10.0.0.0/8".parse().unwrap()].into());
    let mut local = server(&[("10.244.0.1:8080", 1), ("10.244.0.1:8081", 0)]);
    local.settings.masquerade = Masquerade::Never;
    local.settings.when_empty = WhenEmpty::Drop;
    let (first, _) = local.real_servers[0];
    local.real_servers.get_mut(first).unwrap().is_local = true;
    let mut silent = server(&[]);
    silent.settings.when_empty = WhenEmpty::Drop;
    let mut node_port = Key::everyone(key("UDP 0.0.0.0:30053").frontend);
    node_port.frontend.address = VirtualAddress::EveryNodeAddress(AddressFamily::Ipv4);
    let mut table = mk_table([
        (web, sticky.clone()),
        (Key::inside(web.frontend), local),
        (key("SCTP [fd00:96::1]:53"), server(&[("[fd00::1]:53", 1)])),
        (
            key("UDP [fd00:96::1]:53"),
            VirtualServer {
                real_servers: [].into(),
                ..sticky
            },
        ),
        (key("TCP 10.96.0.2:80"), silent),
        (node_port, server(&[("10.244.0.1:53", 2)])),
    ]);
    let guarded = table
        .virtual_servers
        .get_mut(&key("UDP [fd00:96::1]:53"))
        .unwrap();
    guarded.settings.source_ranges = Arc::new(["fd00::/8".parse().unwrap()].into());
    let networks = |texts: &[&str]| -> Arc<BTreeSet<_>> {
        Arc::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    };
    table.inside = networks(&["10.244.0.0/16", "127.0.0.0/8", "::1/128", "fd00::/16"]);
    table.pods = LocalDetector::Cidrs(networks(&["10.244.0.0/16"]));
    table
}

#[test]
fn a_restart_finds_everything_and_makes_no_step() {
    in_kernel(async || {
        let table = everything();
        settle(&mut Nftables::start().unwrap(), &table).await;
        let mut restarted = Nftables::start().unwrap();
        assert_eq!(plan_for(&mut restarted, &table).await.steps, []);
        assert_eq!(as_table(&restarted.read().await.unwrap()), table);
        let listed = run("nft", &["list", "ruleset"]);
        assert!(listed.contains("same-ip-4-10800"), "{listed}");
    });
}

#[test]
fn damage_by_others_is_read_and_made_good() {
    in_kernel(async || {
        let mut kernel = Nftables::start().unwrap();
        let table = everything();
        settle(&mut kernel, &table).await;
        for damage in [
            "delete table inet meshlite",
            "flush chain inet meshlite checked-same-ip-4-10800",
            "flush map inet meshlite ways-ip",
            "flush set inet meshlite hairpins-ip",
            "delete element inet meshlite servers-ip { 10.96.0.1 . 6 . 80 }",
            "delete element inet meshlite slots-inside-ip { 10.96.0.1 . 6 . 80 . 0 }",
            "flush map inet meshlite members-ip",
            "flush map inet meshlite frontends-ip6",
        ] {
            assert!(kernel.is_as_left().await, "before: {damage}");
            run("nft", &[damage]);
            assert!(!kernel.is_as_left().await, "{damage}");
            let steps = plan_for(&mut kernel, &table).await.steps;
            assert!(!steps.is_empty(), "{damage}");
            settle(&mut kernel, &table).await;
            let mut restarted = Nftables::start().unwrap();
            assert_eq!(
                as_table(&restarted.read().await.unwrap()),
                table,
                "{damage}"
            );
        }
    });
}

#[test]
fn a_refused_step_is_named_and_the_others_of_the_transaction_are_done() {
    in_kernel(async || {
        let mut kernel = Nftables::start().unwrap();
        let table = everything();
        settle(&mut kernel, &table).await;
        let element = "{ 10.96.0.2 . 6 . 80 }";
        run(
            "nft",
            &[
                "delete",
                "element",
                "inet",
                "meshlite",
                "servers-ip",
                element,
            ],
        );
        let (gone, web) = (key("TCP 10.96.0.2:80"), key("TCP 10.96.0.1:80"));
        let steps = [
            Step::RemoveVirtualServer { key: gone },
            Step::AddRealServer {
                key: web,
                address: "10.244.0.9:80".parse().unwrap(),
                real: real(1),
            },
        ];
        let results = kernel.apply(&steps).await;
        assert!(
            matches!(results[..], [Err(KernelError::Resync(_)), Ok(())]),
            "{results:?}"
        );
        settle(&mut kernel, &table).await;
    });
}

#[test]
fn an_address_of_this_nodes_own_is_not_closed_until_it_is_another_nodes() {
    in_kernel(async || {
        let mut kernel = Nftables::start().unwrap();
        let external = key("TCP 192.0.2.7:80");
        let mut web = server(&[("10.244.0.1:80", 1)]);
        web.origin.kind = crate::table::VipKind::ExternalIP;
        let mut table = mk_table([(external, web)]);
        let is_closed = || {
            let listed = run("nft", &["list", "set", "inet", "meshlite", "vips-ip"]);
            listed.contains("192.0.2.7")
        };
        for own in ["192.0.2.7/32", "192.0.2.8/32"] {
            table.inside = Arc::new([own.parse().unwrap()].into());
            settle(&mut kernel, &table).await;
            assert_eq!(is_closed(), own != "192.0.2.7/32");
        }
    });
}
