//! Which rule counts, and what is wrong with those that do not.

use k8s_openapi::api::discovery::v1 as k8s;
use meshlite_snapshot::Finding;

use super::*;
use crate::{Interner, ObjectKey, Slice, report::Findings};

fn read(text: &str) -> (Rules, Vec<Finding>) {
    let (key, mut findings) = (ObjectKey::new("default", "web"), Findings::default());
    let rules = Rules::read(text, &mut findings.about("Service", &key));
    (rules, findings.into_sorted())
}

/// The weight of an endpoint at this address, on the node `n-1.example` in the zone `a`.
fn weight(text: &str, address: &str) -> Option<u16> {
    let endpoint = k8s::Endpoint {
        addresses: vec![address.to_owned()],
        node_name: Some("n-1.example".to_owned()),
        zone: Some("a".to_owned()),
        ..k8s::Endpoint::default()
    };
    let slice = k8s::EndpointSlice {
        address_type: if address.contains(':') {
            "IPv6"
        } else {
            "IPv4"
        }
        .to_owned(),
        endpoints: Some(vec![endpoint]),
        ..k8s::EndpointSlice::default()
    };
    let slice = Slice::read(&slice, &mut Interner::default());
    read(text).0.weight(&slice.endpoints()[0])
}

#[test]
fn the_most_specific_rule_counts_wherever_it_is_written() {
    for (text, expected) in [
        ("zone/a=1", Some(1)),
        ("zone/a=1,node/n-1.example=2", Some(2)),
        ("10.0.0.0/8=3,node/n-1.example=2,zone/a=1", Some(3)),
        ("10.0.0.0/8=3,10.0.0.0/24=4,10.0.0.0/16=5", Some(4)),
        ("10.0.0.7=6,10.0.0.7/32=7", Some(6)),
        ("10.0.0.7=0,zone/a=1", Some(0)),
        ("zone/b=1,node/n-2=2,10.1.0.0/16=3,10.0.0.8=4", None),
        ("::/0=1,0.0.0.0/0=2", Some(2)),
    ] {
        assert_eq!(weight(text, "10.0.0.7"), expected, "{text}");
    }
    let both = "fd00::/64=5, fd00::7=65535 ,0.0.0.0/0=2";
    assert_eq!(weight(both, "fd00::7"), Some(65_535));
    assert_eq!(weight(both, "fd00::8"), Some(5));
}

#[test]
fn a_mistake_is_said_and_the_rest_counts() {
    for (entry, problem) in [
        ("", "write SELECTOR=WEIGHT"),
        ("zone/a", "write SELECTOR=WEIGHT"),
        ("zone/a=", "whole number from 0 to 65535"),
        ("zone/a=heavy", "whole number"),
        ("zone/a=-1", "whole number"),
        ("zone/a=+1", "whole number"),
        ("zone/a=1.5", "whole number"),
        ("zone/a=65536", "whole number"),
        ("zone/=1", "not the name of a zone"),
        ("zone/a b=1", "not the name of a zone"),
        ("node/A=1", "not the name of a node"),
        ("=1", "is none of zone/NAME"),
        ("rack/a=1", "is none of zone/NAME"),
        ("10.0.0=1", "is none of zone/NAME"),
        ("10.0.0.0/33=1", "is none of zone/NAME"),
        (
            "10.0.0.1/24=1",
            "write 10.0.0.0/24 for the network, or 10.0.0.1",
        ),
        ("zone/z=1", "the same is written before"),
    ] {
        let (rules, findings) = read(&format!("zone/z=9,{entry},10.0.0.7=5"));
        let message = findings.first().map_or("", |finding| &finding.message);
        assert!(message.contains(problem), "{entry:?}: {findings:?}");
        assert_eq!(findings.len(), 1, "{entry:?}");
        let (rest, none) = read("zone/z=9,10.0.0.7=5");
        assert_eq!((rules, none.len()), (rest, 0), "{entry:?}");
    }
}

#[test]
fn what_is_too_long_is_cut_and_said() {
    let entries: Vec<_> = (0..=MOST).map(|n| format!("zone/z{n}=1")).collect();
    let (rules, findings) = read(&entries.join(","));
    assert_eq!(rules.zones.len(), MOST);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].reason, "TooMany");
}
