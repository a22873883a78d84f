//! Objects that no validation has seen do no harm.

use proptest::prelude::*;
use serde_json::{Value, from_value, json};

use super::*;
use crate::{Located, Object};
use meshlite_snapshot::SourceLocation;

fn text() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "web",
        "None",
        "TCP",
        "10.0.0.1",
        "fd00::1",
        "http",
        "a/b",
        "\u{0}",
        "ExternalName",
        "NodePort",
        "Local",
    ];
    prop_oneof![
        prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
        ".{0,6}"
    ]
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![any::<i32>(), Just(0), Just(80), Just(65536), Just(30000)]
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(
        prop::sample::select(vec!["app", "type", ""]).prop_map(str::to_owned),
        text(),
        0..3,
    )
}

fn meta() -> impl Strategy<Value = Value> {
    (prop::option::of(text()), prop::option::of(text()), labels()).prop_map(
        |(name, namespace, labels)| json!({"name": name, "namespace": namespace, "labels": labels}),
    )
}

fn service() -> impl Strategy<Value = Value> {
    let port = (number(), number(), text(), text(), prop_oneof![number().prop_map(Value::from), text().prop_map(Value::from)])
        .prop_map(|(port, node_port, name, protocol, target)| {
            json!({"port": port, "nodePort": node_port, "name": name, "protocol": protocol, "targetPort": target})
        });
    let list = || prop::collection::vec(text(), 0..3);
    let names = (text(), text(), text(), list(), list());
    (meta(), names, labels(), prop::collection::vec(port, 0..3)).prop_map(
        |(meta, (kind, ip, policy, ips, families), selector, ports)| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {
                "type": kind, "clusterIP": ip, "clusterIPs": ips, "ipFamilies": families,
                "externalTrafficPolicy": policy, "selector": selector, "ports": ports}})
        },
    )
}

fn pod() -> impl Strategy<Value = Value> {
    (meta(), text(), text(), number()).prop_map(|(meta, ip, name, port)| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta,
            "spec": {"containers": [{"name": "c", "ports": [{"name": name, "containerPort": port}]}]},
            "status": {"podIP": ip}})
    })
}

fn endpoints() -> impl Strategy<Value = Value> {
    (meta(), text(), number()).prop_map(|(meta, ip, port)| {
        json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta,
            "subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": port}]}]})
    })
}

fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        3 => service().prop_map(|value| Object::Service(Arc::new(from_value(value).unwrap()))),
        2 => pod().prop_map(|value| Object::Pod(Arc::new(from_value(value).unwrap()))),
        1 => endpoints().prop_map(|value| Object::Endpoints(Arc::new(from_value(value).unwrap()))),
    ]
}

proptest! {
    #[test]
    fn admission_takes_any_objects(objects in prop::collection::vec(object(), 0..12), ports in any::<(u16, u16)>()) {
        let source = SourceLocation { file: "a.yaml".into(), document: 1, line: 1 };
        let located = |object| Located { source: source.clone(), object };
        let file = Arc::new(ManifestFile {
            path: "a.yaml".into(),
            objects: objects.into_iter().map(located).collect(),
            ..ManifestFile::default()
        });
        let settings = AdmitSettings {
            service_cidrs: vec![],
            node_port_range: ports.0..=ports.1,
        };
        let first = admit(&[Arc::clone(&file)], &Allocations::default(), &settings, &[]);
        let again = admit(&[file], &Allocations::default(), &settings, &[]);
        prop_assert_eq!(first.inputs, again.inputs);
    }
}
