//! What was programmed is what `nft` lists.

use std::net::Ipv4Addr;

use meshlite_nft::Nftables;
use serde_json::{Value, json};

use crate::{
    namespace::{Namespace, nft},
    rules::Flat,
    service::Service,
};

fn service(last: u8, endpoints: &[u8]) -> Service {
    Service {
        address: Ipv4Addr::new(10, 96, 0, last),
        protocol: 6,
        port: 80,
        endpoints: endpoints
            .iter()
            .map(|e| (Ipv4Addr::new(10, 244, 0, *e), 8080))
            .collect(),
        sticky: false,
        sources: None,
    }
}

/// The objects of a kind in `nft -j list table`.
fn listed(flat: &Flat, kind: &str) -> Vec<Value> {
    let text = nft(&["-j", "list", "table", "inet", flat.table().name.as_str()]);
    let mut listing: Value = serde_json::from_str(&text).expect("JSON");
    let objects = listing["nftables"]
        .as_array_mut()
        .expect("a list")
        .drain(..);
    objects
        .filter_map(|mut object| object.get_mut(kind).map(Value::take))
        .collect()
}

fn named<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["name"] == name)
        .expect(name)
}

fn sorted(elements: &Value) -> Vec<String> {
    let mut elements: Vec<_> = elements
        .as_array()
        .expect("elements")
        .iter()
        .map(Value::to_string)
        .collect();
    elements.sort();
    elements
}

#[test]
fn nft_lists_the_flat_maps_as_they_were_programmed() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let flat = Flat::new("flat");
        let services = [
            service(1, &[1, 2]),
            Service { sticky: true, ..service(2, &[3]) },
            Service {
                sources: Some((Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 255, 255, 255))),
                ..service(3, &[3])
            },
            service(4, &[]),
        ];
        let mut nftables = Nftables::connect().expect("nftables");
        nftables.commit(&flat.load(&services)).expect("loaded");

        let maps = listed(&flat, "map");
        let vips = named(&maps, "vips");
        assert_eq!(vips["type"], json!(["ipv4_addr", "inet_proto", "inet_service"]));
        assert_eq!(vips["map"], "mark");
        let vip = |address: &str, kind: u32| json!([{ "concat": [address, "tcp", 80] }, kind]);
        let sticky = 0x4000_0001;
        let wanted = json!([vip("10.96.0.1", 2), vip("10.96.0.2", sticky), vip("10.96.0.3", 1)]);
        assert_eq!(sorted(&vips["elem"]), sorted(&wanted));
        let go = |kind: u32, chain: &str| json!([kind, { "goto": { "target": chain } }]);
        let wanted = json!([go(1, "endpoints-1"), go(2, "endpoints-2"), go(sticky, "sticky-1")]);
        assert_eq!(sorted(&named(&maps, "kinds")["elem"]), sorted(&wanted));
        let slot = |address: &str, slot: u32, endpoint: &str| {
            json!([{ "concat": [address, "tcp", 80, slot] }, { "concat": [endpoint, 8080] }])
        };
        let wanted = json!([
            slot("10.96.0.1", 0, "10.244.0.1"),
            slot("10.96.0.1", 1, "10.244.0.2"),
            slot("10.96.0.2", 0, "10.244.0.3"),
            slot("10.96.0.3", 0, "10.244.0.3"),
        ]);
        assert_eq!(sorted(&named(&maps, "endpoints")["elem"]), sorted(&wanted));

        let sets = listed(&flat, "set");
        let refused = json!([{ "concat": ["10.96.0.4", "tcp", 80] }]);
        assert_eq!(named(&sets, "refused")["elem"], refused);
        let network = json!({ "prefix": { "addr": "10.0.0.0", "len": 8 } });
        let allowed = json!([{ "concat": ["10.96.0.3", "tcp", 80, network] }]);
        assert_eq!(named(&sets, "allowed")["elem"], allowed);

        let field = |protocol, field| json!({ "payload": { "protocol": protocol, "field": field } });
        let key = json!({ "concat": [
            field("ip", "daddr"),
            { "meta": { "key": "l4proto" } },
            field("th", "dport"),
            { "numgen": { "mode": "random", "mod": 2, "offset": 0 } },
        ] });
        let translate = json!({ "dnat": {
            "family": "ip",
            "addr": { "map": { "key": key, "data": "@endpoints" } },
        } });
        let rules = listed(&flat, "rule");
        let rule = rules.iter().find(|rule| rule["chain"] == "endpoints-2").expect("a rule");
        assert_eq!(rule["expr"].as_array().and_then(|steps| steps.last()), Some(&translate));

        let chains = listed(&flat, "chain");
        let input = named(&chains, "nat-in");
        assert_eq!(
            [&input["type"], &input["hook"], &input["prio"], &input["policy"]],
            [&json!("nat"), &json!("prerouting"), &json!(-100), &json!("accept")],
        );
    });
}

#[test]
fn one_changed_element_leaves_all_else_as_it_is() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.run(|| {
        let flat = Flat::new("flat");
        let services: Vec<_> = (1..=200).map(|last| service(last, &[1, 2])).collect();
        let mut nftables = Nftables::connect().expect("nftables");
        nftables.commit(&flat.load(&services)).expect("loaded");
        let rules = nftables.rules(flat.table()).expect("rules");
        let mut before = nftables.elements(&flat.set("endpoints")).expect("elements");

        let to = (Ipv4Addr::new(10, 244, 0, 9), 9090);
        nftables
            .commit(&flat.change_endpoint(&services[7], 1, to))
            .expect("changed");

        assert_eq!(nftables.rules(flat.table()).expect("rules"), rules);
        let mut after = nftables.elements(&flat.set("endpoints")).expect("elements");
        before.sort();
        after.sort();
        let differ = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after);
        assert_eq!(differ.count(), 1);
        assert_eq!(before.len(), after.len());
    });
}
