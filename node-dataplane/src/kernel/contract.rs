//! What every kernel must hold to, as tests that each kernel runs.
//!
//! A kernel joins by giving addresses that it can serve here, and real servers that need not exist.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use meshlite_snapshot::Protocol;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Applied, Kernel, KernelError,
    memory::Memory,
    nftables::Nftables,
    userspace::{Context, Userspace},
};
use crate::{
    host::testing::in_namespace,
    metrics::Traffic,
    plan::{Drains, Plan, Step, plan},
    table::{Key, LocalDetector, Masquerade, RealServer, Scheduler, Table},
    testing::{as_table, free_place, mk_table, own_loopback, server},
};

async fn program<K: Kernel>(kernel: &mut K, desired: &Table) -> Plan {
    let found = kernel.read().await.unwrap();
    let plan = plan(
        desired,
        &found,
        &Drains::new(),
        Duration::from_secs(1),
        Instant::now(),
    );
    for result in kernel.apply(&plan.steps).await {
        result.unwrap();
    }
    plan
}

async fn settle<K: Kernel>(kernel: &mut K, desired: &Table) {
    program(kernel, desired).await;
    program(kernel, desired).await;
    let found = kernel.read().await.unwrap();
    assert_eq!(&as_table(&found), desired);
}

async fn what_is_programmed_is_read_back_and_needs_no_further_step<K: Kernel>(
    kernel: &mut K,
    host: [u8; 4],
) {
    let (tcp, udp) = (
        free_place(host, Protocol::Tcp),
        free_place(host, Protocol::Udp),
    );
    let mut sticky = server(&[("127.0.0.1:1", 1), ("127.0.0.1:2", 3)]);
    sticky.settings.persistence = Some(10_800);
    sticky.settings.masquerade = Masquerade::Always;
    let first = "127.0.0.1:1".parse().unwrap();
    sticky.real_servers.get_mut(first).unwrap().is_local = true;
    sticky.settings.scheduler = Scheduler::Lc;
    sticky.settings.source_ranges = Arc::new(["10.0.0.0/8".parse().unwrap()].into());
    let mut table = mk_table([
        (tcp, sticky),
        (Key::inside(tcp.frontend), server(&[("127.0.0.1:3", 1)])),
        (udp, server(&[])),
    ]);
    table.inside = Arc::new(["127.0.0.0/8".parse().unwrap()].into());
    table.pods = LocalDetector::Cidrs(Arc::clone(&table.inside));
    settle(kernel, &table).await;
    assert_eq!(program(kernel, &table).await.steps, []);
}

async fn every_step_shows_in_the_next_read<K: Kernel>(kernel: &mut K, host: [u8; 4]) {
    let (web, db) = (
        free_place(host, Protocol::Tcp),
        free_place(host, Protocol::Tcp),
    );
    let mut edited = server(&[("127.0.0.1:2", 5), ("127.0.0.1:3", 1)]);
    edited.settings.scheduler = Scheduler::Lc;
    let tables = [
        mk_table([(web, server(&[]))]),
        mk_table([
            (web, server(&[("127.0.0.1:1", 1), ("127.0.0.1:2", 1)])),
            (db, server(&[("127.0.0.1:9", 0)])),
        ]),
        mk_table([(web, edited), (db, server(&[("127.0.0.1:9", 2)]))]),
        mk_table([(db, server(&[("127.0.0.1:9", 2)]))]),
        mk_table([]),
    ];
    for table in tables {
        settle(kernel, &table).await;
    }
}

async fn a_failed_step_changes_nothing_and_the_others_are_done<K: Kernel>(
    kernel: &mut K,
    host: [u8; 4],
) {
    let (web, missing) = (
        free_place(host, Protocol::Tcp),
        free_place(host, Protocol::Tcp),
    );
    let table = mk_table([(web, server(&[("127.0.0.1:1", 1)]))]);
    settle(kernel, &table).await;
    let address = "127.0.0.1:2".parse().unwrap();
    let real = |weight| RealServer {
        weight,
        is_local: false,
    };
    let add = |key| Step::AddRealServer {
        key,
        address,
        real: real(1),
    };
    let steps = [
        Step::RemoveVirtualServer { key: missing },
        add(missing),
        Step::EditRealServer {
            key: web,
            address,
            real: real(2),
        },
        add(web),
        add(web),
        Step::RemoveRealServer {
            key: web,
            address: "127.0.0.1:1".parse().unwrap(),
        },
    ];
    let results = kernel.apply(&steps).await;
    let verdicts: Vec<_> = results
        .iter()
        .map(|result| match result {
            Ok(()) => "ok",
            Err(KernelError::Resync(_)) => "resync",
            Err(_) => "other",
        })
        .collect();
    assert_eq!(
        verdicts,
        ["resync", "resync", "resync", "ok", "resync", "ok"]
    );
    let found = kernel.read().await.unwrap();
    let expected = mk_table([(web, server(&[("127.0.0.1:2", 1)]))]);
    assert_eq!(as_table(&found), expected);
}

async fn connections_are_told_for_each_that_is_asked_for<K: Kernel>(kernel: &mut K, host: [u8; 4]) {
    let (web, missing) = (
        free_place(host, Protocol::Tcp),
        free_place(host, Protocol::Tcp),
    );
    let table = mk_table([(web, server(&[("127.0.0.1:1", 1), ("127.0.0.1:2", 1)]))]);
    settle(kernel, &table).await;
    let asked = [
        (web, "127.0.0.1:2"),
        (missing, "127.0.0.1:1"),
        (web, "127.0.0.1:3"),
    ]
    .map(|(key, address)| (key, address.parse().unwrap()));
    assert_eq!(kernel.connections(&asked).await, Ok(vec![0, 0, 0]));
    assert_eq!(kernel.connections(&[]).await, Ok(vec![]));
}

async fn many_virtual_servers_are_programmed_in_one_batch<K: Kernel>(
    kernel: &mut K,
    host: [u8; 4],
) {
    let servers: BTreeMap<_, _> = (0..50)
        .map(|_| {
            (
                free_place(host, Protocol::Tcp),
                server(&[("127.0.0.1:1", 1)]),
            )
        })
        .collect();
    settle(kernel, &mk_table(servers)).await;
    settle(kernel, &mk_table([])).await;
}

async fn what_is_begun_is_applied_in_order_and_each_step_answered_for<K: Kernel>(
    kernel: &mut K,
    host: [u8; 4],
) {
    settle(kernel, &mk_table([])).await;
    let real = server(&[("127.0.0.1:1", 1)]);
    // One that is free may be given twice.
    let keys: BTreeSet<_> = (0..60).map(|_| free_place(host, Protocol::Tcp)).collect();
    let keys = Vec::from_iter(keys);
    let add = |key: &Key| Step::AddVirtualServer {
        key: *key,
        server: real.clone(),
    };
    let mut under_way = VecDeque::new();
    for some in keys.chunks(20) {
        // The first of all is there already, but for the first time.
        let steps = some.iter().chain(&keys[..1]).map(add);
        under_way.push_back(kernel.begin(steps.collect()).await);
    }
    for begun in under_way {
        let Applied { steps, results } = kernel.finish(begun).await;
        assert_eq!(results.len(), steps.len());
        let (last, others) = results.split_last().unwrap();
        assert!(others.iter().all(Result::is_ok), "{others:?}");
        assert!(matches!(last, Err(KernelError::Resync(_))), "{last:?}");
    }
    let found = kernel.read().await.unwrap();
    let wanted = mk_table(keys.iter().map(|key| (*key, real.clone())));
    assert_eq!(as_table(&found), wanted);
    settle(kernel, &mk_table([])).await;
}

pub(super) fn userspace() -> Userspace {
    Userspace::new(Context {
        low_port_offset: None,
        loopback_only: false,
        udp_idle_timeout: Duration::from_secs(30),
        max_udp_flows: 16,
        traffic: Traffic::default(),
        stop: CancellationToken::new(),
    })
}

/// In a network namespace of its own; `None` where there can be none.
fn nftables() -> Option<Nftables> {
    let mut kernel = None;
    in_namespace(|| kernel = Some(Nftables::start().unwrap()));
    kernel
}

macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        mod memory_kernel {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&mut Memory::default(), own_loopback()).await;
                }
            )*
        }

        mod ipvs_kernel {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    if let Some(mut kernel) = crate::kernel::ipvs::tests::fresh() {
                        super::$test(&mut kernel, own_loopback()).await;
                    }
                }
            )*
        }

        mod nftables_kernel {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    if let Some(mut kernel) = nftables() {
                        super::$test(&mut kernel, own_loopback()).await;
                    }
                }
            )*
        }

        mod userspace_kernel {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&mut userspace(), own_loopback()).await;
                }
            )*
        }
    };
}

contract!(
    what_is_programmed_is_read_back_and_needs_no_further_step,
    every_step_shows_in_the_next_read,
    a_failed_step_changes_nothing_and_the_others_are_done,
    connections_are_told_for_each_that_is_asked_for,
    many_virtual_servers_are_programmed_in_one_batch,
    what_is_begun_is_applied_in_order_and_each_step_answered_for,
);
