//! The laws of the planner, and its cases.

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::{
    kernel::{Kernel, memory::Memory},
    table::{Scheduler, VirtualServer},
    testing::{as_table, key, mk_table, observed, origin, real, server},
};

const TIMEOUT: Duration = Duration::from_mins(15);

fn plan_now(desired: &Table, found: &Observed) -> Plan {
    plan(desired, found, &Drains::new(), TIMEOUT, Instant::now())
}

fn printed(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(Step::to_string).collect()
}

fn one(key: Key, real_servers: &[(&str, u16)]) -> Table {
    mk_table([(key, server(real_servers))])
}

#[test]
fn a_new_virtual_server_comes_with_its_real_servers() {
    let desired = one(
        key("TCP 10.96.0.1:80"),
        &[("10.244.0.1:8080", 1), ("10.244.0.2:8080", 2)],
    );
    assert_eq!(
        printed(&plan_now(&desired, &Observed::default())),
        [
            "add virtual server TCP 10.96.0.1:80 rr (default/web) -> 10.244.0.1:8080 weight 1, 10.244.0.2:8080 weight 2",
        ]
    );
}

#[test]
fn what_replaces_comes_before_what_is_replaced() {
    let web = key("TCP 10.96.0.1:80");
    let before = mk_table([
        (web, server(&[("10.244.0.1:80", 1)])),
        (
            key("UDP 10.96.0.9:53"),
            server(&[("10.244.0.9:53", 1), ("10.244.0.8:53", 1)]),
        ),
    ]);
    let mut after = mk_table([
        (web, server(&[("10.244.0.2:80", 1)])),
        (key("UDP 10.96.0.9:53"), server(&[("10.244.0.9:53", 1)])),
    ]);
    let edited = after.virtual_servers.get_mut(&web).unwrap();
    edited.settings.scheduler = Scheduler::Lc;
    assert_eq!(
        printed(&plan_now(&after, &observed(&before, 1))),
        [
            "add real server TCP 10.96.0.1:80 -> 10.244.0.2:80 weight 1",
            "edit virtual server TCP 10.96.0.1:80 lc (default/web)",
            "drain real server TCP 10.96.0.1:80 -> 10.244.0.1:80",
            "remove real server UDP 10.96.0.9:53 -> 10.244.0.8:53",
        ]
    );
}

#[test]
fn a_drained_real_server_goes_once_it_is_idle_or_its_time_is_up() {
    let web = key("TCP 10.96.0.1:80");
    let desired = one(web, &[("10.244.0.2:80", 1)]);
    let gone: SocketAddr = "10.244.0.1:80".parse().unwrap();
    let start = Instant::now();
    let mut found = observed(&one(web, &[("10.244.0.1:80", 1), ("10.244.0.2:80", 1)]), 3);
    let first = plan(&desired, &found, &Drains::new(), TIMEOUT, start);
    assert_eq!(
        first.steps,
        [Step::DrainRealServer {
            key: web,
            address: gone
        }]
    );
    assert_eq!(first.drains, [((web, gone), start)].into());

    let found_real = |found: &mut Observed, connections| {
        let server = found.virtual_servers.get_mut(&web).unwrap();
        server.real_servers.get_mut(gone).unwrap().weight = 0;
        server.connections.insert(gone, connections);
    };
    found_real(&mut found, 3);
    let just_before = start + TIMEOUT - Duration::from_millis(1);
    let waiting = plan(&desired, &found, &first.drains, TIMEOUT, just_before);
    assert_eq!(waiting.steps, []);
    assert_eq!(waiting.drains, first.drains, "the start is remembered");

    let remove = [Step::RemoveRealServer {
        key: web,
        address: gone,
    }];
    let over = plan(&desired, &found, &waiting.drains, TIMEOUT, start + TIMEOUT);
    assert_eq!(over.steps, remove);
    assert!(over.drains.is_empty());

    found_real(&mut found, 0);
    let idle = plan(&desired, &found, &first.drains, TIMEOUT, start);
    assert_eq!(idle.steps, remove);
}

#[test]
fn without_a_drain_timeout_what_is_not_wanted_goes_at_once() {
    let web = key("TCP 10.96.0.1:80");
    let found = observed(&one(web, &[("10.244.0.1:80", 1), ("10.244.0.2:80", 1)]), 3);
    let desired = one(web, &[("10.244.0.2:80", 1)]);
    let to = |desired: &Table| {
        let now = Instant::now();
        printed(&plan(desired, &found, &Drains::new(), Duration::ZERO, now))
    };
    assert_eq!(
        to(&desired),
        ["remove real server TCP 10.96.0.1:80 -> 10.244.0.1:80"]
    );
    assert_eq!(
        to(&Table::default()),
        ["remove virtual server TCP 10.96.0.1:80"]
    );
}

#[test]
fn a_real_server_that_comes_back_while_it_drains_is_used_again() {
    let web = key("TCP 10.96.0.1:80");
    let desired = one(web, &[("10.244.0.1:80", 1)]);
    let found = observed(&one(web, &[("10.244.0.1:80", 0)]), 5);
    let address = "10.244.0.1:80".parse().unwrap();
    let drains = [((web, address), Instant::now())].into();
    let plan = plan(&desired, &found, &drains, TIMEOUT, Instant::now());
    assert_eq!(
        plan.steps,
        [Step::EditRealServer {
            key: web,
            address,
            real: real(1)
        }]
    );
    assert!(plan.drains.is_empty());
}

#[test]
fn a_deleted_virtual_server_stays_until_its_connections_are_done() {
    let web = key("TCP 10.96.0.1:80");
    let nothing = Table::default();
    let busy = plan_now(&nothing, &observed(&one(web, &[("10.244.0.1:80", 1)]), 1));
    assert_eq!(
        printed(&busy),
        ["drain real server TCP 10.96.0.1:80 -> 10.244.0.1:80"]
    );
    let idle = plan_now(&nothing, &observed(&one(web, &[("10.244.0.1:80", 0)]), 0));
    assert_eq!(printed(&idle), ["remove virtual server TCP 10.96.0.1:80"]);
    let udp = one(key("UDP 10.96.0.1:53"), &[("10.244.0.1:53", 1)]);
    assert_eq!(
        printed(&plan_now(&nothing, &observed(&udp, 1))),
        ["remove virtual server UDP 10.96.0.1:53"]
    );
}

#[test]
fn a_kernel_that_forgot_whose_a_virtual_server_is_needs_no_step() {
    let table = one(key("TCP 10.96.0.1:80"), &[("10.244.0.1:80", 1)]);
    let mut found = observed(&table, 0);
    for server in found.virtual_servers.values_mut() {
        server.origin = None;
    }
    assert_eq!(plan_now(&table, &found).steps, []);
}

#[test]
fn inside_clients_are_not_refused_when_they_lose_a_table_of_their_own() {
    let everyone = key("TCP 192.0.2.1:80");
    let inside = Key::inside(everyone.frontend);
    let found = mk_table([
        (everyone, server(&[("10.244.0.1:80", 1)])),
        (inside, server(&[("10.244.0.2:80", 1)])),
    ]);
    let desired = one(everyone, &[("10.244.0.1:80", 1)]);
    assert_eq!(
        plan_now(&desired, &observed(&found, 1)).steps,
        [Step::RemoveVirtualServer { key: inside }]
    );
}

#[test]
fn a_foreign_virtual_server_is_left_alone_even_where_one_of_ours_should_be() {
    let (wanted, other) = (key("TCP 10.96.0.1:80"), key("TCP 4.4.4.4:56"));
    let foreign = mk_table([
        (wanted, server(&[("1.1.1.1:1", 1)])),
        (other, server(&[("1.1.1.1:2", 1)])),
    ]);
    let mut found = observed(&foreign, 0);
    for server in found.virtual_servers.values_mut() {
        server.owner = Owner::Foreign;
    }
    let plan = plan_now(&one(wanted, &[("10.244.0.1:80", 1)]), &found);
    assert_eq!(plan.steps, []);
    assert_eq!(plan.conflicts, [wanted]);
}

// A small world, so that tables overlap: three places, two audiences, four real servers.

fn any_key() -> impl Strategy<Value = Key> {
    (0..3_usize, any::<bool>()).prop_map(|(place, is_inside)| {
        let key = key(["TCP 10.96.0.1:80", "TCP 10.96.0.2:80", "UDP 10.96.0.1:53"][place]);
        if is_inside {
            Key::inside(key.frontend)
        } else {
            key
        }
    })
}

fn any_server() -> impl Strategy<Value = VirtualServer> {
    let real = (0..4_u16, 0..3_u16).prop_map(|(n, weight)| {
        let address = SocketAddr::from(([10, 244, 0, 1], 8000 + n));
        (address, real(weight))
    });
    (
        any::<bool>(),
        any::<bool>(),
        proptest::collection::btree_map(0..4_u16, real, 0..4),
    )
        .prop_map(|(is_lc, is_db, real)| {
            let mut server = server(&[]);
            if is_db {
                server.origin = origin("db");
            }
            if is_lc {
                server.settings.scheduler = Scheduler::Lc;
            }
            server.real_servers = real.into_values().collect();
            server
        })
}

fn any_table() -> impl Strategy<Value = Table> {
    let inside = proptest::collection::btree_set(0..3_u8, 0..3);
    let servers = proptest::collection::btree_map(any_key(), any_server(), 0..6);
    (inside, servers).prop_map(|(inside, virtual_servers)| Table {
        inside: Arc::new(
            inside
                .into_iter()
                .map(|n| IpNet::new([10, n, 0, 0].into(), 16).unwrap())
                .collect(),
        ),
        virtual_servers,
        ..Table::default()
    })
}

/// Applies a plan step by step and shows each state on the way.
fn apply(found: &Observed, steps: &[Step], mut seen: impl FnMut(&Observed)) -> Observed {
    let mut kernel = Memory::default();
    kernel.observed = found.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for step in steps {
        let results = runtime.block_on(kernel.apply(std::slice::from_ref(step)));
        assert_eq!(results, [Ok(())], "{step}");
        seen(&kernel.observed);
    }
    kernel.observed
}

fn has_usable(real_weights: impl IntoIterator<Item = u16>) -> bool {
    real_weights.into_iter().any(|weight| weight > 0)
}

fn is_live(found: &Observed, key: &Key) -> bool {
    found
        .virtual_servers
        .get(key)
        .is_some_and(|server| has_usable(server.real_servers.weights()))
}

proptest! {
    #[test]
    fn a_plan_from_a_table_to_itself_is_empty(table in any_table(), connections in 0..3_u64) {
        let plan = plan_now(&table, &observed(&table, connections));
        prop_assert_eq!(plan, Plan::default());
    }

    #[test]
    fn an_idle_kernel_is_what_was_asked_for_after_two_plans(from in any_table(), to in any_table()) {
        let start = Instant::now();
        let found = observed(&from, 0);
        let first = plan(&to, &found, &Drains::new(), TIMEOUT, start);
        let found = apply(&found, &first.steps, |_| {});
        let second = plan(&to, &found, &first.drains, TIMEOUT, start);
        let found = apply(&found, &second.steps, |_| {});
        prop_assert_eq!(as_table(&found), to.clone());
        prop_assert_eq!(plan_now(&to, &found).steps, []);
    }

    #[test]
    fn a_busy_kernel_is_what_was_asked_for_once_the_drain_is_over(from in any_table(), to in any_table()) {
        let start = Instant::now();
        let found = observed(&from, 7);
        let first = plan(&to, &found, &Drains::new(), TIMEOUT, start);
        let found = apply(&found, &first.steps, |_| {});
        for (key, wanted) in &to.virtual_servers {
            let real = &found.virtual_servers[key].real_servers;
            for (address, wanted) in &wanted.real_servers {
                prop_assert_eq!(real.get(*address), Some(*wanted), "at once");
            }
            let left = real.iter().filter(|(address, _)| !wanted.real_servers.contains(*address));
            prop_assert!(left.into_iter().all(|(_, real)| real.weight == 0), "no new connections");
        }
        let second = plan(&to, &found, &first.drains, TIMEOUT, start + TIMEOUT);
        let found = apply(&found, &second.steps, |_| {});
        prop_assert_eq!(as_table(&found), to);
    }

    #[test]
    fn a_live_service_stays_live_at_every_step(from in any_table(), to in any_table(), connections in 0..2_u64) {
        let found = observed(&from, connections);
        let live: Vec<_> = to
            .virtual_servers
            .iter()
            .filter(|(key, wanted)| {
                has_usable(wanted.real_servers.weights()) && is_live(&found, key)
            })
            .map(|(key, _)| *key)
            .collect();
        apply(&found, &plan_now(&to, &found).steps, |now| {
            for key in &live {
                assert!(is_live(now, key), "{key} has no real server");
            }
        });
    }

    #[test]
    fn what_is_not_ours_is_never_touched(ours in any_table(), theirs in any_table(), to in any_table()) {
        let mut found = observed(&ours, 0);
        let foreign = observed(&theirs, 0).virtual_servers.into_iter().map(|(key, mut server)| {
            server.owner = Owner::Foreign;
            (key, server)
        });
        found.virtual_servers.extend(foreign);
        let plan = plan_now(&to, &found);
        for key in theirs.virtual_servers.keys() {
            prop_assert!(plan.steps.iter().all(|step| step.key() != Some(key)));
            prop_assert_eq!(plan.conflicts.contains(key), to.virtual_servers.contains_key(key));
        }
    }

    #[test]
    fn phases_come_in_order(from in any_table(), to in any_table()) {
        let steps = plan_now(&to, &observed(&from, 1)).steps;
        prop_assert!(steps.is_sorted_by_key(Step::phase));
    }
}
