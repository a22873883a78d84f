//! Tests of the rules in the kernel, in network namespaces of their own.

use std::{collections::BTreeSet, sync::Arc};

use super::*;
use crate::{
    host::testing::{in_namespace, run},
    table::{LocalDetector, Masquerade, WhenEmpty},
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
    let guarded = Helper {
        source_ranges: Arc::new(
            [
                "10.0.0.0/8".parse().unwrap(),
                "192.0.2.1/32".parse().unwrap(),
            ]
            .into(),
        ),
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
        local: [
            "10.244.0.5:8080".parse().unwrap(),
            "10.244.0.6:8080".parse().unwrap(),
        ]
        .into(),
        ..helper()
    };
    [
        (web, Some(guarded)),
        (Key::inside(web.frontend), Some(inside)),
        (key("SCTP [fd00:96::1]:53"), Some(silent)),
        (key("UDP 0.0.0.0:30053"), Some(helper())),
    ]
    .into_iter()
    .map(|(key, helper)| (on_every_address(key), helper))
    .collect()
}

fn on_every_address(key: Key) -> Key {
    let mut key = key;
    if key.frontend.address.ip().is_unspecified() {
        let family = family_of(&key);
        key.frontend.address = crate::table::VirtualAddress::EveryNodeAddress(family);
    }
    key
}

fn clients() -> Clients {
    let networks = |texts: &[&str]| {
        Arc::new(
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<BTreeSet<_>>(),
        )
    };
    Clients {
        inside: networks(&["10.244.0.0/16", "127.0.0.0/8", "192.168.0.1/32", "fd00::/8"]),
        pods: LocalDetector::Cidrs(networks(&["10.244.0.0/16"])),
    }
}

fn wanted(changes: &Changes<Helper>) -> BTreeMap<Key, Helper> {
    changes
        .iter()
        .map(|(key, helper)| (*key, helper.clone().unwrap()))
        .collect()
}

fn settled(outcome: Outcome) {
    assert!(
        outcome.failed.is_empty() && outcome.clients.is_none(),
        "{outcome:?}"
    );
}

#[test]
fn what_is_programmed_is_read_back_by_another_process() {
    in_namespace(|| {
        let mut rules = Rules::<Helper>::connect().unwrap();
        let changes = helpers();
        settled(rules.apply(Some(clients()), changes.clone()));
        let mut other = Rules::<Helper>::connect().unwrap();
        other.read().unwrap();
        assert_eq!(other.clients(), &clients());
        assert_eq!(other.entries(), &wanted(&changes));
        assert_eq!(rules.entries(), other.entries());
        // Its own tool can read it.
        let listed = run("nft", &["list", "ruleset"]);
        assert!(listed.contains("meshlite"), "{listed}");
        if std::env::var_os("SHOW").is_some() {
            println!("{listed}");
        }
    });
}
