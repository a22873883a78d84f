//! Tests of the rules in the kernel, in network namespaces of their own.

mod damage;

use std::collections::BTreeSet;

use super::*;
use crate::{
    host::testing::{in_namespace, run},
    table::{Masquerade, VirtualAddress, WhenEmpty},
    testing::{key, origin},
};

fn helper() -> Helper {
    Helper {
        origin: Some(origin("web")),
        masquerade: Masquerade::NotPods,
        source_ranges: Arc::default(),
        when_empty: WhenEmpty::Reject,
        is_served: true,
        is_closed: true,
        local: BTreeSet::new(),
        mark: None,
    }
}

/// One of each kind.
fn helpers() -> Changes<Helper> {
    let web = key("TCP 10.96.0.1:80");
    let ranges = ["10.0.0.0/8", "192.0.2.1/32"].map(|range| range.parse().unwrap());
    let guarded = Helper {
        source_ranges: Arc::new(ranges.into()),
        local: ["10.244.0.5:8080".parse().unwrap()].into(),
        mark: Some(0x6d00_0001),
        ..helper()
    };
    let silent = Helper {
        origin: None,
        when_empty: WhenEmpty::Drop,
        is_served: false,
        masquerade: Masquerade::Always,
        is_closed: false,
        ..helper()
    };
    let inside = Helper {
        masquerade: Masquerade::Never,
        local: ["10.244.0.5:8080", "10.244.0.6:8080"]
            .map(|address| address.parse().unwrap())
            .into(),
        ..helper()
    };
    let mut node_port = key("UDP 0.0.0.0:30053");
    node_port.frontend.address = VirtualAddress::EveryNodeAddress(family_of(&node_port));
    [
        (web, Some(guarded)),
        (Key::inside(web.frontend), Some(inside)),
        (key("SCTP [fd00:96::1]:53"), Some(silent)),
        (node_port, Some(helper())),
    ]
    .into()
}

fn networks(texts: &[&str]) -> Arc<BTreeSet<ipnet::IpNet>> {
    Arc::new(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn clients() -> Clients {
    Clients {
        inside: networks(&["10.244.0.0/16", "127.0.0.0/8", "192.168.0.1/32", "fd00::/8"]),
        pods: LocalDetector::Cidrs(networks(&["10.244.0.0/16"])),
    }
}

fn wanted(changes: &Changes<Helper>) -> BTreeMap<Key, Helper> {
    let of = |(key, helper): (&Key, &Option<Helper>)| Some((*key, helper.clone()?));
    changes.iter().filter_map(of).collect()
}

fn settled(outcome: &Outcome) {
    assert!(
        outcome.failed.is_empty() && outcome.clients.is_none(),
        "{outcome:?}"
    );
}

/// What a process that has just started finds.
fn found() -> Rules<Helper> {
    let mut rules = Rules::connect().unwrap();
    rules.read().unwrap();
    rules
}

fn programmed() -> Rules<Helper> {
    let mut rules = found();
    settled(&rules.apply(Some(clients()), helpers()));
    rules
}

#[test]
fn what_is_programmed_is_read_back_by_another_process_and_listed_by_nft() {
    in_namespace(|| {
        let rules = programmed();
        let other = found();
        assert_eq!(other.clients(), &clients());
        assert_eq!(other.entries(), &wanted(&helpers()));
        assert_eq!(rules.entries(), other.entries());
        assert_eq!(
            (&other.shared, &other.branches),
            (&rules.shared, &rules.branches)
        );
        let listed = run("nft", &["list", "ruleset"]);
        assert!(listed.contains("table inet meshlite"), "{listed}");
    });
}

#[test]
fn every_way_to_tell_pods_is_read_back() {
    in_namespace(|| {
        let mut rules = programmed();
        let detectors = [
            LocalDetector::None,
            LocalDetector::Interface("cni0".into()),
            LocalDetector::InterfacePrefix("veth".into()),
            LocalDetector::Cidrs(networks(&["fd00:10::/64"])),
            LocalDetector::Cidrs(networks(&["10.0.0.0/9", "10.128.0.0/9", "fd00::/8"])),
        ];
        for pods in detectors {
            let clients = Clients { pods, ..clients() };
            settled(&rules.apply(Some(clients.clone()), Changes::new()));
            let other = found();
            assert_eq!(other.clients().detector(), clients.detector());
            assert_eq!(other.clients().elements(), clients.elements());
            assert_eq!(other.entries(), &wanted(&helpers()));
        }
    });
}

#[test]
fn changes_leave_what_a_fresh_start_would_make() {
    in_namespace(|| {
        let mut rules = programmed();
        let mut changes = helpers();
        for helper in changes.values_mut() {
            let helper = helper.as_mut().unwrap();
            helper.is_served ^= true;
            helper.is_closed ^= true;
            helper.mark = helper.mark.is_none().then_some(7);
            helper.local.pop_first();
        }
        let gone = *changes.keys().next().unwrap();
        changes.insert(gone, None);
        settled(&rules.apply(None, changes.clone()));
        assert_eq!(found().entries(), &wanted(&changes));
        let nothing = changes.keys().map(|key| (*key, None)).collect();
        settled(&rules.apply(None, nothing));
        assert!(rules.shared.is_empty());
        assert!(found().entries().is_empty());
    });
}

#[test]
fn what_the_kernel_refuses_is_left_out_and_the_rest_is_done() {
    in_namespace(|| {
        let mut rules = programmed();
        // Somebody takes away what one of the changes would.
        let element = "{ fd00:96::1 . 132 . 53 }";
        run(
            "nft",
            &[
                "delete",
                "element",
                "inet",
                "meshlite",
                "frontends-ip6",
                element,
            ],
        );
        let silent = key("SCTP [fd00:96::1]:53");
        let web = key("TCP 10.96.0.1:80");
        let outcome = rules.apply(None, [(silent, None), (web, None)].into());
        assert_eq!(outcome.failed.keys().collect::<Vec<_>>(), [&silent]);
        assert!(matches!(outcome.failed[&silent], KernelError::Resync(_)));
        assert!(!rules.entries().contains_key(&web));
        assert!(rules.entries().contains_key(&silent));
    });
}

#[test]
fn sets_are_listed_with_members_and_what_they_stand_for_and_removed_alone() {
    in_namespace(|| {
        assert_eq!(list(&[]).unwrap(), []);
        assert!(!remove().unwrap());
        let _rules = programmed();
        run("nft", &["add", "table", "inet", "theirs"]);
        let listed = list(&[Helper::SHAPES]).unwrap();
        assert!(listed.iter().all(|set| !set.purpose.is_empty()));
        let of = |name: &str| listed.iter().find(|set| set.ours == name).unwrap();
        let hairpins = of("hairpins-ip");
        assert_eq!(hairpins.kube_proxy, "KUBE-LOOP-BACK");
        assert_eq!(
            hairpins.members,
            ["10.244.0.5 . 10.244.0.5", "10.244.0.6 . 10.244.0.6"]
        );
        assert_eq!(of("vips-ip").members, ["10.96.0.1"]);
        let guard = "10.96.0.1 . 6 . 80 . 10.0.0.0 - 10.96.0.1 . 6 . 80 . 10.255.255.255";
        assert_eq!(of("ranges-ip").members[0], guard);
        assert!(remove().unwrap());
        assert_eq!(run("nft", &["list", "tables"]), "table inet theirs\n");
    });
}

#[test]
fn a_trial_leaves_nothing_and_takes_nothing_away() {
    in_namespace(|| {
        Rules::<Helper>::try_it(&[]).unwrap();
        assert_eq!(run("nft", &["list", "ruleset"]), "");
        let _rules = programmed();
        Rules::<Helper>::try_it(&[]).unwrap();
        assert_eq!(found().entries(), &wanted(&helpers()));
    });
}

#[test]
fn a_closed_table_lets_nothing_in_and_translates_what_it_has_until_it_is_removed() {
    in_namespace(|| {
        assert!(!close().unwrap());
        let _rules = programmed();
        assert!(close().unwrap());
        let listed = run("nft", &["list", "ruleset"]);
        let chains = listed.split("hook ").skip(1);
        let rules = |chain: &str| chain.split('}').next().unwrap().lines().count() - 2;
        let (open, closed): (Vec<_>, Vec<_>) = chains.partition(|chain| rules(chain) > 0);
        let hooks = |chains: Vec<&str>| -> BTreeSet<String> {
            let hooks = chains.iter().map(|chain| chain.split(' ').next());
            hooks.flatten().map(str::to_owned).collect()
        };
        assert_eq!(
            hooks(closed),
            ["output", "prerouting"].map(str::to_owned).into()
        );
        assert_eq!(
            hooks(open),
            ["forward", "postrouting"].map(str::to_owned).into()
        );
        assert!(remove().unwrap());
        assert!(!close().unwrap());
    });
}
