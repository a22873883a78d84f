//! The loop's passes against a kernel that fails, forgets and is changed behind our back.

mod sequences;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use meshlite_snapshot::{Name, Protocol, Resource, ResourceType, Snapshot};
use prometheus_client::{
    encoding::text::encode, metrics::histogram::Histogram, registry::Registry,
};
use proptest::prelude::*;

use super::*;
use crate::{
    kernel::{Capabilities, memory::Memory, print},
    plan::Step,
    program::checks::Checks,
    table::{Key, Observed, Owner, RealServer, Table},
    testing::{as_table, key, mk_group, mk_service, mk_snapshot, mk_table, observed, server},
};

pub(super) fn mk_program<K: Kernel>(kernel: K) -> Program<K> {
    let parts = Parts {
        kernel,
        facts: Facts {
            node_name: "n1".into(),
            ..Facts::default()
        },
        drain_timeout: Duration::from_mins(15),
        sync_period: Duration::from_secs(30),
        check_endpoints: false,
        metrics: Metrics::new().0,
        printer: None,
    };
    Program::new(parts)
}

/// One that makes all steps of a call at once, and in which connections need no real server.
#[derive(Debug)]
struct TransactionalMemory(Memory);

impl Kernel for TransactionalMemory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            is_atomic: true,
            needs_drains: false,
            ..self.0.capabilities()
        }
    }

    async fn read(&mut self) -> Result<Observed, KernelError> {
        self.0.read().await
    }

    async fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), KernelError>> {
        self.0.apply(steps).await
    }

    async fn connections(&mut self, of: &[(Key, SocketAddr)]) -> Result<Vec<u64>, KernelError> {
        self.0.connections(of).await
    }
}

/// A program that wants this table.
fn wanting(kernel: Memory, table: Table) -> Program<Memory> {
    let mut program = mk_program(kernel);
    program.wanted.snapshot = Some((1, Snapshot::default()));
    want(&mut program, table);
    program
}

fn want(program: &mut Program<Memory>, table: Table) {
    let before = program.wanted.desired.table().virtual_servers.keys();
    program.wanted.due.extend(before.copied());
    program.wanted.due.extend(table.virtual_servers.keys());
    program.wanted.desired = Desired::of_table(table);
}

fn web(endpoints: &[(&str, u16)]) -> Table {
    mk_table([(key("TCP 10.96.0.1:80"), server(endpoints))])
}

fn holding(table: &Table) -> Memory {
    let mut kernel = Memory::default();
    kernel.observed = observed(table, 0);
    kernel
}

fn reasons(program: &Program<Memory>) -> Vec<&str> {
    let findings = program.findings.iter();
    findings.map(|finding| finding.reason.as_ref()).collect()
}

fn programmed(program: &Program<Memory>) -> Table {
    as_table(&program.kernel.observed)
}

const OLD: (&str, u16) = ("10.244.0.1:80", 1);
const NEW: (&str, u16) = ("10.244.0.2:80", 1);
const NEWEST: (&str, u16) = ("10.244.0.3:80", 1);

#[tokio::test]
async fn a_snapshot_becomes_virtual_servers() {
    let mut program = mk_program(Memory::default());
    let snapshot = mk_snapshot(
        vec![mk_service("web", "10.96.0.1")],
        vec![mk_group("web", &[("10.244.0.1", "n1")])],
    );
    program.set_snapshot(7, snapshot, Changed::default);
    assert!(program.pass(vec![]).await);
    let text = print::table(&programmed(&program));
    assert!(
        text.ends_with(
            "TCP  10.96.0.1:80 rr\n  -> 10.244.0.1:8080              Masq    1      0          0\n"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn before_the_first_snapshot_nothing_that_is_there_is_touched() {
    let before = web(&[OLD]);
    let mut program = mk_program(holding(&before));
    assert!(program.pass(vec![]).await);
    assert_eq!(program.kernel.log, []);
    assert_eq!(programmed(&program), before);
}

#[tokio::test]
async fn what_is_right_already_is_adopted_without_a_step() {
    let mut program = wanting(holding(&web(&[OLD])), web(&[OLD]));
    assert!(program.pass(vec![]).await);
    assert_eq!(program.kernel.log, []);
    assert_eq!(program.wake_at(), None);
}

#[tokio::test]
async fn what_is_changed_behind_our_back_is_healed_by_the_next_pass() {
    let wanted = mk_table([
        (key("TCP 10.96.0.1:80"), server(&[OLD, NEW])),
        (key("UDP 10.96.0.1:53"), server(&[OLD])),
    ]);
    let mut program = wanting(Memory::default(), wanted.clone());
    program.pass(vec![]).await;
    let servers = &mut program.kernel.observed.virtual_servers;
    servers.remove(&key("UDP 10.96.0.1:53"));
    let web = servers.get_mut(&key("TCP 10.96.0.1:80")).unwrap();
    let [(first, _), (second, _)] = web.real_servers[..] else {
        panic!("{web:?}");
    };
    web.real_servers.remove(first);
    web.real_servers.get_mut(second).unwrap().weight = 0;
    assert_eq!(program.metrics.repairs.get(), 0);
    program.resync();
    assert!(program.pass(vec![]).await);
    assert_eq!(programmed(&program), wanted);
    assert_eq!(
        program.metrics.repairs.get(),
        3,
        "two real servers and a virtual server with its own"
    );
}

#[tokio::test]
async fn a_kernel_that_is_certain_to_be_as_it_was_left_is_not_read_again() {
    let mut program = wanting(Memory::default(), web(&[OLD]));
    program.pass(vec![]).await;
    program.kernel.is_as_left = true;
    let is_read = KernelError::Retry("it was read".into());
    program.kernel.fail_read(is_read);
    program.resync();
    assert!(program.pass(vec![]).await);
    program.kernel.is_as_left = false;
    program.resync();
    assert!(!program.pass(vec![]).await, "what is in doubt is read");
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_is_a_finding_until_the_retry_succeeds() {
    let mut kernel = Memory::default();
    kernel.fail_step(0, KernelError::Retry("address in use".into()));
    let mut program = wanting(kernel, web(&[OLD]));
    assert!(program.pass(vec![]).await, "a commit is not held up by it");
    assert_eq!(reasons(&program), ["NotProgrammed"]);
    assert!(program.findings[0].message.contains("address in use"));
    tokio::time::sleep_until(program.wake_at().unwrap()).await;
    assert!(program.pass(vec![]).await);
    assert_eq!(programmed(&program), web(&[OLD]));
    assert_eq!((reasons(&program), program.wake_at()), (vec![], None));
}

#[tokio::test]
async fn what_can_never_work_is_a_finding_and_not_retried_by_itself() {
    let mut kernel = Memory::default();
    kernel.fail_step(0, KernelError::Unsupported("no such scheduler".into()));
    let mut program = wanting(kernel, web(&[OLD]));
    program.pass(vec![]).await;
    assert_eq!(reasons(&program), ["NotProgrammed"]);
    assert_eq!(program.wake_at(), None);
}

#[tokio::test]
async fn what_a_failed_step_left_behind_is_found_when_its_virtual_server_changes() {
    let mut kernel = Memory::default();
    kernel.fail_step(0, KernelError::Unsupported("no such real server".into()));
    let mut program = wanting(kernel, web(&[OLD, NEW]));
    program.pass(vec![]).await;
    assert_eq!(programmed(&program), Table::default());
    program.kernel.observed = observed(&web(&[OLD]), 0);
    want(&mut program, Table::default());
    program.pass(vec![]).await;
    let steps: Vec<_> = program.kernel.log.iter().map(Step::to_string).collect();
    assert_eq!(
        steps,
        ["drain real server TCP 10.96.0.1:80 -> 10.244.0.1:80"]
    );
}

#[tokio::test]
async fn a_kernel_that_changed_under_the_plan_is_read_again_in_the_same_pass() {
    let mut kernel = Memory::default();
    kernel.fail_step(0, KernelError::Resync("no such virtual server".into()));
    let mut program = wanting(kernel, web(&[OLD]));
    assert!(program.pass(vec![]).await);
    assert_eq!(programmed(&program), web(&[OLD]));
    assert_eq!((reasons(&program), program.wake_at()), (vec![], None));
}

#[tokio::test]
async fn a_kernel_that_cannot_be_read_keeps_the_pass_open() {
    let mut kernel = Memory::default();
    kernel.fail_read(KernelError::Retry("netlink: no buffer space".into()));
    let mut program = wanting(kernel, web(&[OLD]));
    assert!(!program.pass(vec![]).await);
    assert!(program.wake_at().is_some());
    assert!(program.pass(vec![]).await);
    assert_eq!(programmed(&program), web(&[OLD]));
}

#[tokio::test]
async fn somebody_elses_virtual_server_in_our_place_is_a_finding() {
    let mut kernel = holding(&web(&[OLD]));
    for server in kernel.observed.virtual_servers.values_mut() {
        server.owner = Owner::Foreign;
    }
    let mut program = wanting(kernel, web(&[NEW]));
    program.pass(vec![]).await;
    assert_eq!(reasons(&program), ["ForeignVirtualServer"]);
    assert_eq!(program.kernel.log, []);
}

/// A first pass of five Services.
async fn first_pass<K: Kernel>(kernel: K) -> Program<K> {
    let mut program = mk_program(kernel);
    let names = ["a", "b", "c", "d", "e"];
    let services = (1..).zip(names);
    let services = services.map(|(n, name)| mk_service(name, &format!("10.96.0.{n}")));
    let groups = names.map(|name| mk_group(name, &[("10.244.0.1", "n1")]));
    let snapshot = mk_snapshot(services.collect(), groups.into());
    program.set_snapshot(1, snapshot, Changed::default);
    assert!(program.pass(vec![]).await);
    program
}

#[tokio::test]
async fn many_new_services_come_some_at_a_time_after_who_is_inside_and_end_as_all_at_once() {
    let program = first_pass(Memory::default()).await;
    assert_eq!(program.kernel.calls, [3, 2, 1]);
    let first = program.kernel.log.first().map(Step::to_string);
    assert!(first.is_some_and(|step| step.starts_with("set inside")));
    let at_once = first_pass(TransactionalMemory(Memory::default())).await;
    assert_eq!(at_once.kernel.0.calls, [6]);
    assert_eq!(programmed(&program), as_table(&at_once.kernel.0.observed));
}

#[tokio::test]
async fn what_an_interrupted_run_left_is_tidied_up_once_all_that_was_read_is_as_it_should_be() {
    let mut program = first_pass(Memory::default()).await;
    assert_eq!(program.kernel.tidied, [3], "after the last call of three");
    assert!(program.pass(vec![]).await);
    assert_eq!(program.kernel.tidied, [3], "nothing was read");
    program.resync();
    assert!(program.pass(vec![]).await);
    assert_eq!(program.kernel.tidied.len(), 2);
}

#[tokio::test]
async fn what_another_backend_carries_is_taken_over_with_all_at_once() {
    let mut kernel = Memory::default();
    kernel.observed.is_carried_elsewhere = true;
    let program = first_pass(kernel).await;
    assert_eq!(program.kernel.calls, [6]);
}

#[tokio::test]
async fn a_new_virtual_server_that_fails_is_not_tried_again_in_its_pass_and_keeps_no_other_away() {
    let mut kernel = Memory::default();
    kernel.fail_step(1, KernelError::Unsupported("no such scheduler".into()));
    let program = first_pass(kernel).await;
    assert_eq!(program.kernel.calls, [3, 2, 1]);
    let there: Vec<_> = programmed(&program).virtual_servers.into_keys().collect();
    let others = (2..=5).map(|n| key(&format!("TCP 10.96.0.{n}:80")));
    assert_eq!(there, others.collect::<Vec<_>>());
    assert_eq!(reasons(&program), ["NotProgrammed"]);
}

#[tokio::test]
async fn nothing_more_is_added_once_it_cannot_be_said_who_is_inside() {
    let mut kernel = Memory::default();
    kernel.fail_step(0, KernelError::Retry("busy".into()));
    let mut program = mk_program(kernel);
    let services = (1..=9).map(|n| mk_service(&format!("s{n}"), &format!("10.96.0.{n}")));
    let snapshot = mk_snapshot(services.collect(), vec![]);
    program.set_snapshot(1, snapshot, Changed::default);
    assert!(!program.pass(vec![]).await);
    assert_eq!(program.kernel.calls, [3, 2, 2], "two were on their way");
    assert!(program.wake_at().is_some());
}

#[tokio::test]
async fn a_kernel_with_transactions_gets_a_change_whole_and_drains_nothing() {
    let transactional = TransactionalMemory(holding(&web(&[OLD])));
    let mut program = mk_program(transactional);
    program.wanted.snapshot = Some((1, Snapshot::default()));
    program.wanted.desired = Desired::of_table(web(&[NEW]));
    program.pass(vec![]).await;
    assert_eq!(as_table(&program.kernel.0.observed), web(&[NEW]));
    assert_eq!(program.kernel.0.calls, [2]);
    assert_eq!(program.wake_at(), None);
}

#[tokio::test(start_paused = true)]
async fn a_drained_real_server_is_looked_at_again_until_it_is_gone() {
    let mut program = wanting(holding(&web(&[OLD, NEW])), web(&[NEW]));
    program.pass(vec![]).await;
    assert_eq!(programmed(&program), web(&[(OLD.0, 0), NEW]));
    assert!(program.wake_at().unwrap() <= Instant::now() + DRAIN_POLL.0);
    tokio::time::sleep_until(program.wake_at().unwrap()).await;
    program.pass(vec![]).await;
    assert_eq!(programmed(&program), web(&[NEW]));
    assert_eq!(program.wake_at(), None);
    assert_eq!(observations(&program.metrics.look_duration), 1);
    let full = &program.metrics.sync_full_duration;
    assert_eq!(
        full.of_each().map(observations).max(),
        Some(1),
        "a look is no sync"
    );
    let partial = &program.metrics.sync_partial_duration;
    assert_eq!(partial.of_each().map(observations).max(), Some(0));
}

/// How often a histogram was given a value.
fn observations(histogram: &Histogram) -> u64 {
    let (mut registry, mut text) = (Registry::default(), String::new());
    registry.register("x", "", histogram.clone());
    encode(&mut text, &registry).unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix("x_count "));
    count.unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_wait_until_what_drains_is_counted_nor_keeps_it_from_being_counted() {
    let mut program = wanting(holding(&web(&[OLD, NEW])), web(&[NEW]));
    program.pass(vec![]).await;
    let look = program.wake_at().unwrap();
    let drained = key("TCP 10.96.0.1:80");
    let server = program.kernel.observed.virtual_servers.get_mut(&drained);
    let connections = &mut server.unwrap().connections;
    connections.insert(OLD.0.parse().unwrap(), 1);

    want(&mut program, web(&[NEW, NEWEST]));
    program.pass(vec![]).await;
    let all = web(&[(OLD.0, 0), NEW, NEWEST]);
    assert_eq!(programmed(&program), all, "nobody knows that it is idle");
    assert_eq!(program.kernel.counted, [0; 0]);
    assert_eq!(program.wake_at(), Some(look), "the look is due when it was");

    tokio::time::sleep_until(look).await;
    want(&mut program, web(&[NEWEST]));
    program.pass(vec![]).await;
    let quiet = web(&[(OLD.0, 0), (NEW.0, 0), NEWEST]);
    assert_eq!(programmed(&program), quiet, "it has a connection");
    assert_eq!(program.kernel.counted, [1], "with what is due by then");
    let server = program.kernel.observed.virtual_servers.get_mut(&drained);
    server.unwrap().connections.clear();
    tokio::time::sleep_until(program.wake_at().unwrap()).await;
    program.pass(vec![]).await;
    assert_eq!(programmed(&program), web(&[NEWEST]));
}

#[test]
fn a_long_drain_is_looked_at_less_and_less_often_until_its_bound() {
    let (start, bound) = (Instant::now(), Duration::from_mins(15));
    let drains = Drains::from([((key("TCP 10.96.0.1:80"), OLD.0.parse().unwrap()), start)]);
    let wait_after = |seconds| {
        let now = start + Duration::from_secs(seconds);
        (next_look(&drains, bound, now).unwrap() - now).as_secs()
    };
    assert_eq!([0, 1, 4, 20, 60, 600].map(wait_after), [1, 1, 1, 5, 15, 15]);
    assert_eq!(wait_after(895), 5, "the bound");
    assert_eq!(next_look(&Drains::new(), bound, start), None);
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_dry_run_prints_each_plan_once_with_the_table_that_it_leads_to() {
    let page = Page::default();
    let mut program = wanting(Memory::default(), web(&[OLD]));
    program.printer = Some(Printer::new(Box::new(page.clone())));
    program.pass(vec![]).await;
    program.pass(vec![]).await;
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text,
        "\
# add virtual server TCP 10.96.0.1:80 rr (default/web) -> 10.244.0.1:80 weight 1
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.96.0.1:80 rr
  -> 10.244.0.1:80                Masq    1      0          0
"
    );
}

fn any_web() -> impl Strategy<Value = Table> {
    let endpoints = proptest::sample::subsequence(
        vec![OLD, NEW, ("10.244.0.3:80", 2), ("10.244.0.4:80", 1)],
        1..=4,
    );
    endpoints.prop_map(|endpoints| web(&endpoints))
}

fn any_error() -> impl Strategy<Value = KernelError> {
    prop_oneof![
        Just(KernelError::Retry("busy".into())),
        Just(KernelError::Resync("gone".into())),
    ]
}

proptest! {
    #[test]
    fn whichever_step_fails_the_service_stays_live_and_the_table_converges(
        tables in proptest::collection::vec(any_web(), 1..5),
        faults in proptest::collection::vec((0..12_usize, any_error()), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut program = wanting(holding(&web(&[OLD])), web(&[OLD]));
            for (n, error) in faults {
                program.kernel.fail_step(n, error);
            }
            let last = tables.last().unwrap().clone();
            for table in tables {
                want(&mut program, table);
                program.pass(vec![]).await;
                let now = programmed(&program);
                let usable = now.virtual_servers.values().flat_map(|s| s.real_servers.weights());
                assert!(usable.into_iter().any(|weight| weight > 0), "{now:?}");
            }
            for _ in 0..8 {
                program.resync();
                program.pass(vec![]).await;
            }
            assert_eq!(programmed(&program), last);
            assert_eq!((reasons(&program), program.wake_at()), (vec![], None));
        });
    }
}

/// Asks both endpoints three times or more; those that are named do not answer.
async fn check_both(program: &mut Program<Memory>, dead: &[&str]) {
    let mut asked = BTreeMap::new();
    while asked.len() < 2 || asked.values().any(|times| *times < 3) {
        tokio::time::sleep_until(program.check_at().unwrap()).await;
        while let Some(endpoint) = program.next_check() {
            *asked.entry(endpoint).or_insert(0) += 1;
            let is_alive = !dead.contains(&endpoint.to_string().as_str());
            program.checked(endpoint, Some(is_alive));
        }
    }
    program.pass(vec![]).await;
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_do_not_answer_get_no_new_connections_unless_none_would_be_left() {
    let mut program = mk_program(Memory::default());
    program.wanted.checks = Some(Checks::default());
    let (one, two) = ("10.244.0.1:8080", "10.244.0.2:8080");
    let snapshot = mk_snapshot(
        vec![mk_service("web", "10.96.0.1")],
        vec![mk_group(
            "web",
            &[("10.244.0.1", "n1"), ("10.244.0.2", "n2")],
        )],
    );
    program.set_snapshot(1, snapshot, Changed::default);
    program.pass(vec![]).await;
    let weights = |program: &Program<Memory>| -> Vec<u16> {
        let table = programmed(program);
        let server = &table.virtual_servers[&key("TCP 10.96.0.1:80")];
        server.real_servers.weights().collect()
    };
    for (dead, expected) in [
        (&[one][..], [0, 1]),
        (&[one, two], [1, 1]),
        (&[two], [1, 0]),
        (&[], [1, 1]),
    ] {
        check_both(&mut program, dead).await;
        assert_eq!(weights(&program), expected, "{dead:?} are dead");
    }
    assert_eq!(program.metrics.repairs.get(), 0);
}

#[tokio::test]
async fn the_host_is_looked_at_after_a_full_pass_and_where_flows_changed() {
    let mut program = mk_program(Memory::default());
    assert!(program.look().is_none(), "nothing is known yet");
    let mut dns = mk_service("dns", "10.96.0.10");
    dns.ports[0].protocol = Protocol::Udp;
    let mut dns_group = mk_group("dns", &[("10.244.0.1", "n1")]);
    dns_group.ports[0].protocol = Protocol::Udp;
    let web_group = mk_group("web", &[("10.244.0.2", "n1")]);
    let services = vec![dns, mk_service("web", "10.96.0.1")];
    let mut snapshot = mk_snapshot(services, vec![dns_group.clone(), web_group.clone()]);
    program.set_snapshot(1, snapshot.clone(), Changed::default);
    program.pass(vec![]).await;
    let why = |program: &mut Program<Memory>| {
        let look = program.look();
        look.map(|look| (look.is_full, look.flows_changed))
    };
    assert_eq!(why(&mut program), Some((true, true)));
    for (mut group, expected) in [(web_group, None), (dns_group, Some((false, true)))] {
        group.endpoints.clear();
        let name = Name::part("default", &group.service, &group.slice).unwrap();
        let mut changed = Changed::default();
        changed.resource(ResourceType::EndpointGroup, &name);
        snapshot.insert(name, Resource::EndpointGroup(group.into()));
        program.set_snapshot(2, snapshot.clone(), || changed);
        program.pass(vec![]).await;
        assert_eq!(why(&mut program), expected);
    }
}
