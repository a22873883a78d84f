//! Allocation over time.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::Service;
use meshlite_snapshot::{Finding, Severity, SourceLocation};
use proptest::prelude::*;
use serde_json::{Value, from_value, json};

use crate::{
    Located, ManifestFile, Object,
    admit::{AdmitSettings, Admitted, Allocations, admit},
    validate::default_and_validate,
};

fn settings() -> AdmitSettings {
    AdmitSettings {
        service_cidrs: vec![
            "10.96.0.0/16".parse().unwrap(),
            "fd00::/112".parse().unwrap(),
        ],
        ..AdmitSettings::default()
    }
}

fn service(name: &str, spec: &Value) -> Arc<Service> {
    let document =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    let mut object = Object::Service(Arc::new(from_value(document).unwrap()));
    default_and_validate(&mut object);
    match object {
        Object::Service(service) => service,
        _ => unreachable!("it was made one line above"),
    }
}

fn file(path: &str, services: Vec<Arc<Service>>) -> Arc<ManifestFile> {
    let located = |(i, service)| Located {
        source: SourceLocation {
            file: path.into(),
            document: u32::try_from(i).unwrap() + 1,
            line: 1,
        },
        object: Object::Service(service),
    };
    Arc::new(ManifestFile {
        path: path.into(),
        objects: services.into_iter().enumerate().map(located).collect(),
        ..ManifestFile::default()
    })
}

/// Admits these Services after what was before.
fn after(before: &Admitted, services: &[(&str, Value)]) -> Admitted {
    let services = services
        .iter()
        .map(|(name, spec)| service(name, spec))
        .collect();
    admit(
        &[file("a.yaml", services)],
        &before.allocations,
        &settings(),
        &[],
    )
}

fn first(services: &[(&str, Value)]) -> Admitted {
    after(&Admitted::default(), services)
}

fn web(mut spec: Value) -> Value {
    spec["selector"] = json!({"app": "web"});
    if spec["ports"].is_null() {
        spec["ports"] = json!([{"port": 80}]);
    }
    spec
}

fn get(admitted: &Admitted, name: &str) -> Option<Value> {
    let services = &admitted.inputs.services;
    let key = meshlite_compile::ObjectKey::new("default", name);
    services
        .get(&key)
        .map(|service| serde_json::to_value(&service.spec).unwrap())
}

fn ips(admitted: &Admitted, name: &str) -> Value {
    get(admitted, name).map_or(Value::Null, |spec| spec["clusterIPs"].clone())
}

fn node_ports(admitted: &Admitted, name: &str) -> Vec<i64> {
    let spec = get(admitted, name).unwrap();
    let ports = spec["ports"].as_array().unwrap().iter();
    ports.filter_map(|port| port["nodePort"].as_i64()).collect()
}

/// Allocation findings as `name: field: message`.
fn said(admitted: &Admitted) -> Vec<String> {
    let about = |f: &&Finding| f.reason != "SelectsNothing" && f.reason != "NoEndpoints";
    let findings = admitted.findings.iter().filter(about);
    findings
        .map(|f| format!("{}: {}: {}", f.object.name, f.field, f.message))
        .collect()
}

#[test]
fn a_service_keeps_the_address_that_its_name_gave_it_whoever_comes_and_goes() {
    let alone = first(&[("web", web(json!({})))]);
    assert!(
        ips(&alone, "web")[0]
            .as_str()
            .unwrap()
            .starts_with("10.96.")
    );
    let crowd: Vec<_> = (0..500)
        .map(|i| (format!("s{i}"), web(json!({}))))
        .collect();
    let mut crowd: Vec<_> = crowd
        .iter()
        .map(|(name, spec)| (name.as_str(), spec.clone()))
        .collect();
    crowd.push(("web", web(json!({}))));
    let crowded = after(&alone, &crowd);
    assert_eq!(ips(&crowded, "web"), ips(&alone, "web"));
    assert_eq!(said(&crowded), [""; 0]);
    // Without any memory the address is the same, because nobody else's hash points there.
    assert_eq!(
        ips(&first(&[("web", web(json!({})))]), "web"),
        ips(&alone, "web")
    );
}

#[test]
fn an_explicit_address_is_honoured_in_the_range_or_not() {
    let admitted = first(&[
        ("a", web(json!({"clusterIP": "10.96.0.1"}))),
        ("b", web(json!({"clusterIP": "127.96.0.1"}))),
    ]);
    assert_eq!(ips(&admitted, "a"), json!(["10.96.0.1"]));
    assert_eq!(ips(&admitted, "b"), json!(["127.96.0.1"]));
    assert_eq!(said(&admitted), [""; 0]);
}

#[test]
fn the_second_service_with_the_same_address_is_refused() {
    let admitted = first(&[
        ("b", web(json!({"clusterIP": "10.96.0.9"}))),
        ("a", web(json!({"clusterIP": "10.96.0.9"}))),
    ]);
    assert_eq!(ips(&admitted, "a"), json!(["10.96.0.9"]));
    assert_eq!(get(&admitted, "b"), None);
    assert_eq!(
        said(&admitted),
        [
            "b: spec.clusterIP: Invalid value: \"10.96.0.9\": provided IP is already allocated to Service default/a"
        ]
    );
    // Whoever has it keeps it, also from one that would come first.
    let b_first = first(&[("b", web(json!({"clusterIP": "10.96.0.9"})))]);
    let both = [
        ("b", web(json!({"clusterIP": "10.96.0.9"}))),
        ("a", web(json!({"clusterIP": "10.96.0.9"}))),
    ];
    let later = after(&b_first, &both);
    assert_eq!(
        (ips(&later, "b"), get(&later, "a")),
        (json!(["10.96.0.9"]), None)
    );
}

#[test]
fn a_cluster_ip_is_immutable() {
    let before = first(&[("web", web(json!({"clusterIP": "10.96.0.9"})))]);
    for wanted in ["10.96.0.10", "None"] {
        let now = after(&before, &[("web", web(json!({"clusterIP": wanted})))]);
        assert_eq!(ips(&now, "web"), json!(["10.96.0.9"]));
        let says = format!("Invalid value: {wanted:?}: field is immutable; 10.96.0.9 is kept");
        assert_eq!(said(&now), [format!("web: spec.clusterIP: {says}")]);
    }
    let headless = first(&[("web", web(json!({"clusterIP": "None"})))]);
    let now = after(
        &headless,
        &[("web", web(json!({"clusterIP": "10.96.0.9"})))],
    );
    assert_eq!(ips(&now, "web"), json!(["None"]));
    assert_eq!(said(&now).len(), 1);
    // One that no longer says anything keeps what it has, or gets an address where it had none.
    let silent = [("web", web(json!({})))];
    assert_eq!(ips(&after(&before, &silent), "web"), json!(["10.96.0.9"]));
    assert_ne!(ips(&after(&headless, &silent), "web"), json!(["None"]));
}

#[test]
fn an_external_name_has_no_address_and_leaves_none_behind() {
    let name = json!({"type": "ExternalName", "externalName": "db.example.com"});
    let before = first(&[("db", web(json!({"clusterIP": "10.96.0.9"})))]);
    let external = after(&before, &[("db", name)]);
    assert_eq!(
        (ips(&external, "db"), external.allocations.services.len()),
        (Value::Null, 0)
    );
    let back = after(
        &external,
        &[("db", web(json!({"clusterIP": "10.96.0.10"})))],
    );
    assert_eq!(
        (ips(&back, "db"), said(&back).len()),
        (json!(["10.96.0.10"]), 0)
    );
}

#[test]
fn a_second_family_comes_and_goes_and_the_first_address_stays() {
    let before = first(&[("web", web(json!({})))]);
    let dual = after(
        &before,
        &[("web", web(json!({"ipFamilyPolicy": "RequireDualStack"})))],
    );
    assert_eq!(ips(&dual, "web")[0], ips(&before, "web")[0]);
    assert!(ips(&dual, "web")[1].as_str().unwrap().starts_with("fd00::"));
    assert_eq!(
        get(&dual, "web").unwrap()["ipFamilies"],
        json!(["IPv4", "IPv6"])
    );
    let single = after(
        &dual,
        &[("web", web(json!({"ipFamilyPolicy": "SingleStack"})))],
    );
    assert_eq!(ips(&single, "web"), ips(&before, "web"));
}

#[test]
fn a_full_range_is_a_finding_and_stops_nobody_else() {
    let settings = AdmitSettings {
        service_cidrs: vec!["10.0.0.0/29".parse().unwrap()],
        node_port_range: 30000..=30000,
    };
    let services = (0..6).map(|i| service(&format!("s{i}"), &web(json!({"type": "NodePort"}))));
    let files = [file("a.yaml", services.collect())];
    let admitted = admit(&files, &Allocations::default(), &settings, &[]);
    assert_eq!(admitted.inputs.services.len(), 5);
    let said = said(&admitted);
    assert_eq!(
        said.iter()
            .filter(|s| s.contains("no cluster IP is free"))
            .count(),
        1,
        "{said:?}"
    );
    assert_eq!(
        said.iter()
            .filter(|s| s.contains("no node port is free"))
            .count(),
        4,
        "{said:?}"
    );
    // What was full for one is free when another one goes.
    let services = (1..6).map(|i| service(&format!("s{i}"), &web(json!({"type": "NodePort"}))));
    let files = [file("a.yaml", services.collect())];
    let admitted = admit(&files, &admitted.allocations, &settings, &[]);
    assert_eq!(admitted.inputs.services.len(), 5);
}

#[test]
fn a_node_port_outside_the_range_is_served_with_a_warning() {
    let admitted = first(&[(
        "kong",
        web(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]})),
    )]);
    assert_eq!(node_ports(&admitted, "kong"), [80]);
    let warning = admitted
        .findings
        .iter()
        .find(|f| f.reason == "OutsideRange")
        .unwrap();
    assert_eq!(
        (warning.severity, warning.field.as_str()),
        (Severity::Warning, "spec.ports[0].nodePort")
    );
}

#[test]
fn a_node_port_has_one_owner_for_each_protocol() {
    let tcp = json!({"type": "NodePort", "ports": [{"port": 53, "nodePort": 30053}]});
    let udp =
        json!({"type": "NodePort", "ports": [{"port": 53, "nodePort": 30053, "protocol": "UDP"}]});
    let admitted = first(&[("a", web(tcp.clone())), ("b", web(udp)), ("c", web(tcp))]);
    assert_eq!(node_ports(&admitted, "a"), [30053]);
    assert_eq!(node_ports(&admitted, "b"), [30053]);
    assert_eq!(get(&admitted, "c"), None);
    assert_eq!(
        said(&admitted),
        [
            "c: spec.ports[0].nodePort: Invalid value: 30053: provided port is already allocated to Service default/a"
        ]
    );
}

#[test]
fn dns_over_udp_and_tcp_shares_a_node_port() {
    let ports = json!([{"port": 53, "name": "tcp"}, {"port": 53, "name": "udp", "protocol": "UDP"}, {"port": 80, "name": "http"}]);
    let admitted = first(&[("dns", web(json!({"type": "NodePort", "ports": ports})))]);
    let got = node_ports(&admitted, "dns");
    assert_eq!(got[0], got[1]);
    assert_ne!(got[0], got[2]);
}

#[test]
fn two_services_can_swap_their_node_ports_in_one_edit() {
    let with =
        |port: u16| web(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}));
    let before = first(&[("a", with(30001)), ("b", with(30002))]);
    let now = after(&before, &[("a", with(30002)), ("b", with(30001))]);
    assert_eq!(
        (node_ports(&now, "a"), node_ports(&now, "b")),
        (vec![30002], vec![30001])
    );
    assert_eq!(said(&now), [""; 0]);
}

#[test]
fn a_service_whose_change_is_refused_keeps_its_node_port() {
    let with =
        |port: u16| web(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}));
    let before = first(&[("a", with(30001)), ("b", with(30002))]);
    let now = after(&before, &[("a", with(30001)), ("b", with(30001))]);
    assert_eq!(
        (node_ports(&now, "a"), node_ports(&now, "b")),
        (vec![30001], vec![30002])
    );
    assert_eq!(said(&now).len(), 1);
}

#[test]
fn a_node_port_follows_its_port_through_a_new_name_or_number() {
    let with = |name: &str, port: u16| {
        web(json!({"type": "NodePort", "ports": [{"name": name, "port": port}]}))
    };
    let before = first(&[("web", with("http", 80))]);
    let got = node_ports(&before, "web");
    assert_eq!(
        node_ports(&after(&before, &[("web", with("http", 8080))]), "web"),
        got
    );
    assert_eq!(
        node_ports(&after(&before, &[("web", with("www", 80))]), "web"),
        got
    );
}

#[test]
fn a_load_balancer_gets_the_ports_that_it_asks_for() {
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"});
    let admitted = first(&[("web", web(spec))]);
    let health = get(&admitted, "web").unwrap()["healthCheckNodePort"]
        .as_u64()
        .unwrap();
    let node_port = u64::try_from(node_ports(&admitted, "web")[0]).unwrap();
    assert!(
        (30000..=32767).contains(&health) && health != node_port,
        "{health} {node_port}"
    );
    let spec = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [
        {"port": 80, "name": "a"}, {"port": 81, "name": "b", "nodePort": 30081}]});
    let now = after(&admitted, &[("web", web(spec))]);
    assert_eq!(node_ports(&now, "web"), [30081]);
}

#[test]
fn what_a_service_of_an_unreadable_file_held_is_not_given_to_another() {
    let port =
        |port: u16| web(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}));
    let before = first(&[("gone", port(30001)), ("other", web(json!({})))]);
    let broken = ManifestFile {
        path: "b.yaml".into(),
        findings: vec![
            crate::Problem::error("", "Syntax", "not YAML")
                .at(meshlite_snapshot::ObjectRef::default(), None),
        ],
        ..ManifestFile::default()
    };
    let files = [
        file("a.yaml", vec![service("other", &web(json!({})))]),
        Arc::new(broken),
    ];
    let during = admit(&files, &before.allocations, &settings(), &[]);
    assert_eq!(during.allocations, before.allocations);
    let back = after(&during, &[("gone", port(30001)), ("other", web(json!({})))]);
    assert_eq!(ips(&back, "gone"), ips(&before, "gone"));
    // Whoever asks for it by number gets it.
    let files = [
        file("a.yaml", vec![service("new", &port(30001))]),
        Arc::clone(&files[1]),
    ];
    let asked = admit(&files, &before.allocations, &settings(), &[]);
    assert_eq!(node_ports(&asked, "new"), [30001]);
    assert!(!asked.allocations.services.contains_key("default/gone"));
    // With every file good it is free.
    let after_all = after(&during, &[("other", web(json!({})))]);
    assert!(!after_all.allocations.services.contains_key("default/gone"));
}

#[test]
fn a_service_that_is_refused_takes_no_node_port_from_another() {
    let settings = AdmitSettings {
        service_cidrs: vec!["10.0.0.0/28".parse().unwrap()],
        node_port_range: 30000..=30000,
    };
    let node_port = |spec| web(json!({"type": "NodePort", "clusterIP": spec}));
    let files = |services: &[(&str, Value)]| {
        let services = services.iter().map(|(name, spec)| service(name, spec));
        [file("a.yaml", services.collect())]
    };
    // It was headless, so it held something, but has no address to go on with.
    let before = [
        ("a", web(json!({"clusterIP": "10.0.0.11"}))),
        ("b", web(json!({"clusterIP": "None"}))),
    ];
    let before = admit(&files(&before), &Allocations::default(), &settings, &[]);
    let now = [
        ("a", web(json!({"clusterIP": "10.0.0.11"}))),
        ("b", node_port(json!("10.0.0.11"))),
        ("c", node_port(Value::Null)),
    ];
    let now = admit(&files(&now), &before.allocations, &settings, &[]);
    assert_eq!(get(&now, "b"), None);
    assert_eq!(node_ports(&now, "c"), [30000]);
    // No address is free: neither is its node port taken.
    let settings = AdmitSettings {
        service_cidrs: vec!["10.0.0.0/30".parse().unwrap()],
        ..settings
    };
    let full = [
        ("a", web(json!({"clusterIP": "10.0.0.2"}))),
        ("b", node_port(Value::Null)),
        ("c", node_port(json!("10.0.0.3"))),
    ];
    let full = admit(&files(&full), &Allocations::default(), &settings, &[]);
    assert_eq!(get(&full, "b"), None);
    assert_eq!(node_ports(&full, "c"), [30000]);
}

#[test]
fn a_service_whose_new_node_port_is_taken_keeps_its_own_from_a_new_service() {
    let with =
        |port: u16| web(json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}));
    let before = first(&[("b", with(30002)), ("c", with(30003))]);
    let edit = [("a", with(30002)), ("b", with(30003)), ("c", with(30003))];
    let now = after(&before, &edit);
    assert_eq!(get(&now, "a"), None);
    assert_eq!(node_ports(&now, "b"), [30002]);
    assert_eq!(node_ports(&now, "c"), [30003]);
}

/// Specs that meet each other in small ranges, good and bad.
fn any_spec() -> impl Strategy<Value = Value> {
    let ip = prop_oneof![
        3 => Just(Value::Null),
        1 => Just(json!("None")),
        2 => (1..14u8).prop_map(|i| json!(format!("10.0.0.{i}"))),
        1 => (1..4u8).prop_map(|i| json!(format!("fd00::{i}"))),
        1 => Just(json!("not an address")),
    ];
    let kind = prop::sample::select(vec![
        "ClusterIP",
        "NodePort",
        "LoadBalancer",
        "ExternalName",
        "?",
    ]);
    let policy = prop::sample::select(vec![
        "SingleStack",
        "PreferDualStack",
        "RequireDualStack",
        "?",
    ]);
    // Unique by number and protocol, as validation demands.
    let ports = prop::collection::btree_map((0..4i32, any::<bool>()), prop::option::of(29999..30006i32), 0..3)
        .prop_map(|ports| {
            let port = |((port, udp), node_port): (&(i32, bool), &Option<i32>)| {
                json!({"port": port, "nodePort": node_port, "protocol": if *udp { "UDP" } else { "TCP" },
                       "name": format!("p{port}-{udp}")})
            };
            ports.iter().map(port).collect::<Vec<_>>()
        });
    (ip, kind, prop::option::of(policy), ports, any::<bool>()).prop_map(
        |(ip, kind, policy, ports, local)| {
            let policies = if local { "Local" } else { "Cluster" };
            json!({"clusterIP": ip, "type": kind, "ipFamilyPolicy": policy, "ports": ports,
                   "externalTrafficPolicy": policies})
        },
    )
}

/// A folder: some of eight Services.
fn any_folder() -> impl Strategy<Value = BTreeMap<u8, Value>> {
    prop::collection::btree_map(0..8u8, any_spec(), 0..8)
}

fn small() -> AdmitSettings {
    AdmitSettings {
        service_cidrs: vec![
            "10.0.0.0/28".parse().unwrap(),
            "fd00::/125".parse().unwrap(),
        ],
        node_port_range: 30000..=30004,
    }
}

fn files(folder: &BTreeMap<u8, Value>) -> Vec<Arc<ManifestFile>> {
    let of = |(i, spec): (&u8, &Value)| {
        file(&format!("{i}.yaml"), vec![service(&format!("s{i}"), spec)])
    };
    folder.iter().map(of).collect()
}

fn assert_nothing_is_shared(admitted: &Admitted) {
    let mut owners = BTreeMap::new();
    for (name, held) in &admitted.allocations.services {
        let ips = held.cluster_ips.iter().map(ToString::to_string);
        let ports = held
            .node_ports
            .iter()
            .map(|p| format!("{}/{}", p.node_port, p.protocol));
        let health = held
            .health_check_node_port
            .map(|port| format!("{port}/TCP"));
        for thing in ips.chain(ports).chain(health) {
            let other = owners.insert(thing.clone(), name);
            assert_eq!(other, None, "{thing} is also {name}'s");
        }
    }
}

proptest! {
    #[test]
    fn no_sequence_of_edits_moves_an_address_or_shares_one(folders in prop::collection::vec(any_folder(), 1..6)) {
        let mut before = Allocations::default();
        for folder in folders {
            let now = admit(&files(&folder), &before, &small(), &[]);
            assert_nothing_is_shared(&now);
            for (name, held) in &before.services {
                let still = now.allocations.services.get(name);
                let number = name.trim_start_matches("default/s").parse::<u8>().unwrap();
                let exists = folder.get(&number).is_some_and(|spec| spec["type"] != "ExternalName");
                if let (true, Some(first)) = (exists, held.cluster_ips.first()) {
                    prop_assert_eq!(still.and_then(|s| s.cluster_ips.first()), Some(first), "{} moved", name);
                }
            }
            // The same folder again changes nothing.
            let again = admit(&files(&folder), &now.allocations, &small(), &[]);
            prop_assert_eq!(&again.inputs, &now.inputs);
            prop_assert_eq!(&again.allocations, &now.allocations);
            before = now.allocations;
        }
    }

    #[test]
    fn the_order_of_files_never_matters(folder in any_folder(), before in any_folder(), seed in any::<u64>()) {
        let before = admit(&files(&before), &Allocations::default(), &small(), &[]).allocations;
        let sorted = files(&folder);
        let mut shuffled = sorted.clone();
        shuffled.sort_by_key(|file| twox_hash::XxHash3_64::oneshot_with_seed(seed, file.path.as_bytes()));
        let (a, b) = (admit(&sorted, &before, &small(), &[]), admit(&shuffled, &before, &small(), &[]));
        prop_assert_eq!(a.inputs, b.inputs);
        prop_assert_eq!(a.allocations, b.allocations);
        prop_assert_eq!(a.findings, b.findings);
    }

    #[test]
    fn a_spoilt_state_file_gives_nobody_somebody_elses_address(
        folder in any_folder(),
        held in prop::collection::btree_map(0..8u8, (1..6u8, 30000..30004u16), 0..8),
    ) {
        let held = held.into_iter().map(|(i, (ip, port))| (format!("default/s{i}"), super::ServiceAllocation {
            cluster_ips: vec![format!("10.0.0.{ip}").parse().unwrap()],
            health_check_node_port: Some(port),
            ..super::ServiceAllocation::default()
        }));
        let before = Allocations { services: held.collect() };
        assert_nothing_is_shared(&admit(&files(&folder), &before, &small(), &[]));
    }
}
