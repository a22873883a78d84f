//! Tests of nftables as a kernel: what is compiled, what a restart finds, and what strangers' hands do.

mod commits;
mod kernel;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    balanced::Balanced,
    maps::{CHOICES, GROUPS, MEMBERS, SLOTS},
    way::{Kind, Way},
};
use crate::{
    kernel::rules::{
        Content, Entry as _,
        name::{AUDIENCES, FAMILIES, Place},
    },
    table::{Key, ObservedServer, RealServer, Scheduler},
    testing::{key, server},
};

/// What is observed of it.
fn observed(real_servers: &[(&str, u16)]) -> ObservedServer {
    ObservedServer::new(&server(real_servers))
}

fn balanced(real_servers: &[(&str, u16)]) -> Balanced {
    Balanced::wanted(&observed(real_servers), true, None)
}

/// How many elements it has in each set.
fn counts(entry: &Balanced, key: &Key) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for placed in entry.content(key).own {
        *counts.entry(placed.set.name).or_default() += 1;
    }
    counts
}

#[test]
fn a_virtual_server_is_an_element_for_each_endpoint_and_two_more() {
    let web = key("TCP 10.96.0.1:80");
    let entry = balanced(&[("10.244.0.1:80", 1), ("10.244.0.2:80", 1)]);
    assert_eq!(
        counts(&entry, &web),
        [("frontends", 1), ("servers", 1), (SLOTS, 2)].into()
    );
}

#[test]
fn one_changed_endpoint_changes_one_element_wherever_it_comes_in_their_order() {
    let web = key("TCP 10.96.0.1:80");
    let before = balanced(&[
        ("10.244.0.1:80", 1),
        ("10.244.0.3:80", 1),
        ("10.244.0.5:80", 1),
    ]);
    let others = observed(&[
        ("10.244.0.3:80", 1),
        ("10.244.0.5:80", 1),
        ("10.244.0.9:80", 1),
    ]);
    let after = Balanced::wanted(&others, true, Some(&before)).content(&web);
    let before = before.content(&web);
    let changed = after.own.iter().filter(|it| !before.own.contains(it));
    assert_eq!(changed.count(), 1);
}

#[test]
fn clients_that_stay_are_known_at_all_addresses_of_a_service_port() {
    let mut entry = observed(&[("10.244.0.1:80", 1), ("10.244.0.2:80", 3)]);
    entry.settings.persistence = Some(10_800);
    entry.settings.scheduler = Scheduler::Wrr;
    let entry = Balanced::wanted(&entry, true, None);
    let (web, other) = (key("TCP 10.96.0.1:80"), key("TCP 203.0.113.1:80"));
    let expected = [
        ("frontends", 1),
        ("servers", 1),
        (GROUPS, 1),
        (CHOICES, 4),
        (MEMBERS, 2),
    ];
    assert_eq!(counts(&entry, &web), expected.into());
    let data = |key, name| {
        let content = entry.content(key);
        let own = content
            .own
            .into_iter()
            .filter(move |it| it.set.name == name);
        own.map(|placed| placed.element.data).collect::<Vec<_>>()
    };
    for name in [GROUPS, CHOICES, MEMBERS] {
        assert_eq!(data(&web, name), data(&other, name));
    }
}

#[test]
fn what_is_compiled_is_read_back() {
    let mut sticky = observed(&[("10.0.0.1:1", 7), ("10.0.0.2:2", 0), ("10.0.0.2:3", 1)]);
    sticky.settings.persistence = Some(u32::MAX);
    sticky.settings.scheduler = Scheduler::Wrr;
    let mut weighted = sticky.clone();
    weighted.settings.persistence = None;
    weighted.origin = None;
    let mut local = observed(&[("10.0.0.1:1", 1)]);
    local.real_servers.add(
        "10.0.0.1:2".parse().unwrap(),
        RealServer {
            weight: u16::MAX,
            is_local: true,
        },
    );
    let before = balanced(&[("10.0.0.9:1", 1), ("10.0.0.1:2", 1)]);
    for entry in [sticky, weighted, local, observed(&[])] {
        let entry = Balanced::wanted(&entry, true, Some(&before));
        let web = key("UDP 10.96.0.1:80");
        let read = Balanced::read(&web, &entry.content(&web).own);
        assert_eq!(read.as_ref(), Some(&entry));
    }
}

#[test]
fn a_way_is_known_by_the_name_of_its_chain() {
    let kinds = [
        Kind::Any { slots: 3 },
        Kind::same(1, 86_400),
        Kind::same(Kind::MOST_SAME, u32::MAX),
    ];
    let kinds = kinds.map(|kind| [(kind, false), (kind, true)]).concat();
    for family in FAMILIES {
        for audience in AUDIENCES {
            for place in [Place::Vip, Place::Node] {
                for &(kind, is_checked) in &kinds {
                    let way = Way {
                        family,
                        audience,
                        place,
                        is_checked,
                        kind,
                    };
                    let chain = way.branch().chain.name;
                    assert_eq!(Way::named(&chain), Some(way), "{chain}");
                }
            }
        }
    }
    for other in [
        "any-ip",
        "any-ip-x",
        "any-ip-03",
        "same-ip-3",
        "check-ip-3",
        "checked-ip-3",
        "",
    ] {
        assert_eq!(Way::named(other), None, "{other}");
    }
}

/// Real servers of any weights here and elsewhere, with any settings that change what is in the table.
fn any_observed() -> impl Strategy<Value = ObservedServer> {
    let real = (0_u8..6, 0_u16..3, any::<bool>());
    let schedulers = prop::sample::select(vec![Scheduler::Rr, Scheduler::Wrr]);
    let settings = (
        schedulers,
        prop::option::weighted(0.2, Just(60)),
        prop::bool::weighted(0.9),
    );
    let even = prop::bool::weighted(0.6);
    (prop::collection::vec(real, 0..5), settings, even).prop_map(|(reals, settings, is_even)| {
        let (scheduler, persistence, has_origin) = settings;
        let mut server = observed(&[]);
        server.settings.scheduler = scheduler;
        server.settings.persistence = persistence;
        server.origin = server.origin.filter(|_| has_origin);
        for (host, weight, is_local) in reals {
            let real = RealServer {
                weight: if is_even { 1 } else { weight },
                is_local,
            };
            let address = ([10, 244, 0, host], 80).into();
            server.real_servers.add(address, real);
        }
        server
    })
}

/// What is in the one and not in the other.
fn only<T: Clone + Ord>(one: &[T], other: &[T]) -> BTreeSet<T> {
    let only = one.iter().filter(|it| !other.contains(it));
    only.cloned().collect()
}

proptest! {
    #[test]
    fn what_is_told_apart_of_two_is_just_what_differs(
        before in any_observed(),
        after in any_observed(),
        was_closed in prop::bool::weighted(0.8),
    ) {
        let web = key("TCP 10.96.0.1:80");
        let before = Balanced::wanted(&before, was_closed, None);
        let after = Balanced::wanted(&after, true, Some(&before));
        let difference = |[one, other]: [Content<Way>; 2]| {
            let branches: BTreeSet<_> = one.branches.into_iter().collect();
            let new = other.branches.into_iter().filter(|it| !branches.contains(it));
            (
                [only(&one.own, &other.own), only(&other.own, &one.own)],
                [only(&one.shared, &other.shared), only(&other.shared, &one.shared)],
                new.collect::<Vec<_>>(),
            )
        };
        let whole = difference([before.content(&web), after.content(&web)]);
        prop_assert_eq!(difference(before.apart(&after, &web)), whole);
    }
}
