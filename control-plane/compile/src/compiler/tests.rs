//! A change costs what depends on it, however much else there is: counted in units, not in time.

use std::sync::Arc;

use k8s_openapi::{
    api::{core::v1 as core, discovery::v1::EndpointSlice, networking::v1 as networking},
    serde::de::DeserializeOwned,
};
use meshlite_snapshot::{HostMatch, ResourceType};
use serde_json::{Value, json};

use super::*;
use crate::{Interner, Slice};

fn object<T: DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).unwrap())
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn service(name: &str, port: u16) -> Change {
    let spec = json!({"clusterIP": "10.96.0.1", "ports": [{"port": port}]});
    Change::Service(key(name), Some(object(json!({"spec": spec}))))
}

fn slice(name: &str, service: &str, address: &str) -> Change {
    let slice: Arc<EndpointSlice> = object(json!({
        "metadata": {"labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": [{"addresses": [address]}],
    }));
    let slice = Slice::read(&slice, &mut Interner::default());
    Change::EndpointSlice(key(name), Some(Arc::new(slice)))
}

fn ingress(name: &str, host: &str, service: &str) -> Change {
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let spec = json!({
        "ingressClassName": "meshlite",
        "rules": [{"host": host, "http": {"paths": [path]}}],
        "tls": [{"hosts": [host], "secretName": format!("{name}-tls")}],
    });
    let ingress: Arc<networking::Ingress> = object(json!({"spec": spec}));
    Change::Ingress(key(name), Some(ingress))
}

fn secret(name: &str, kind: &str) -> Change {
    let secret: Arc<core::Secret> = object(json!({"type": kind}));
    Change::Secret(key(name), Some(secret))
}

fn node(name: &str, zone: &str) -> Change {
    let labels = json!({"topology.kubernetes.io/zone": zone});
    let node: Arc<core::Node> = object(json!({"metadata": {"labels": labels}}));
    Change::Node(name.to_owned(), Some(node))
}

/// This many Services, each with two slices, an Ingress of its own and a Node.
fn world(size: usize) -> Compiler {
    let mut compiler = Compiler::new(Settings::default());
    for i in 0..size {
        let name = format!("s{i}");
        compiler.apply(node(&name, "a"));
        compiler.apply(service(&name, 80));
        for part in ["x", "y"] {
            compiler.apply(slice(&format!("{name}-{part}"), &name, "10.0.0.1"));
        }
        let host = format!("{name}.example.com");
        compiler.apply(ingress(&name, &host, &name));
    }
    compiler.compile();
    compiler
}

/// The units that this change costs, and the resources that are handed out for it.
fn cost(compiler: &mut Compiler, change: Change) -> (Vec<Unit>, Vec<String>) {
    compiler.book.compiled.clear();
    compiler.apply(change);
    let delta = compiler.compile();
    let names = delta.resources.keys();
    let names = names.map(|(kind, name)| format!("{kind} {name}"));
    (compiler.book.compiled.clone(), names.collect())
}

#[test]
fn a_change_costs_what_depends_on_it_however_much_there_is() {
    for size in [3, 300] {
        let mut compiler = world(size);
        let (units, names) = cost(&mut compiler, node("s1", "b"));
        assert_eq!(units, [Unit::Node("s1".into())]);
        assert_eq!(names, ["Node s1"]);

        let (units, names) = cost(&mut compiler, slice("s1-x", "s1", "10.0.0.2"));
        assert_eq!(units, [Unit::Slice(key("s1-x"))]);
        assert_eq!(names, ["EndpointGroup default/s1/s1-x"]);

        let (units, names) = cost(&mut compiler, service("s1", 81));
        assert_eq!(
            units,
            [Unit::Service(key("s1")), Unit::References(key("s1"))]
        );
        assert_eq!(names, ["Service default/s1", "Cluster default/s1/80"]);

        let (units, names) = cost(&mut compiler, Change::Service(key("s1"), None));
        let slices = ["s1-x", "s1-y"].map(|name| Unit::Slice(key(name)));
        let [x, y] = slices;
        let all = [Unit::Service(key("s1")), x, y, Unit::References(key("s1"))];
        assert_eq!(units, all);
        assert_eq!(
            names,
            [
                "Service default/s1",
                "EndpointGroup default/s1/s1-x",
                "EndpointGroup default/s1/s1-y",
                "Cluster default/s1/80",
            ]
        );
    }
}

#[test]
fn an_ingress_costs_itself_and_the_hosts_that_it_spoke_and_speaks_of() {
    for size in [3, 300] {
        let mut compiler = world(size);
        let (units, names) = cost(&mut compiler, ingress("s1", "s0.example.com", "s0"));
        let [new, old] = ["s0", "s1"].map(|name| HostMatch::Exact(format!("{name}.example.com")));
        assert_eq!(
            units,
            [
                Unit::Ingress(key("s1")),
                Unit::References(key("s1")),
                Unit::ServerName(new.clone()),
                Unit::ServerName(old.clone()),
                Unit::Host(new),
                Unit::Host(old),
            ]
        );
        assert_eq!(
            names,
            [
                "RouteTable meshlite/s0.example.com",
                "RouteTable meshlite/s1.example.com",
                "Cluster default/s1/80",
                "TlsSecret default/s1-tls",
            ]
        );
        let (units, names) = cost(&mut compiler, secret("s0-tls", "Opaque"));
        assert_eq!(units, [Unit::References(key("s0"))]);
        assert_eq!(names, ["TlsSecret default/s0-tls"]);
    }
}

#[test]
fn what_is_as_before_costs_nothing() {
    let mut compiler = world(3);
    let changes = [
        node("s1", "a"),
        service("s1", 80),
        slice("s1-x", "s1", "10.0.0.1"),
        ingress("s1", "s1.example.com", "s1"),
        Change::Secret(key("nobody-names-it"), None),
    ];
    for change in changes {
        assert_eq!(
            compiler.apply(change.clone()),
            Effect::Nothing,
            "{change:?}"
        );
    }
    assert!(compiler.compile().is_empty());
    assert_eq!(
        cost(&mut compiler, secret("nobody-names-it", "Opaque")),
        (vec![], vec![])
    );
}

#[test]
fn groups_are_in_the_scope_of_the_ingress_while_any_route_leads_to_their_service() {
    let mut compiler = world(2);
    let mut scope = |change| {
        compiler.apply(change);
        let delta = compiler.compile();
        assert!(
            delta
                .resources
                .keys()
                .all(|(kind, _)| *kind != ResourceType::Service)
        );
        let groups = delta.ingress_endpoint_groups.into_iter();
        let groups = groups.map(|(name, is_in)| format!("{name} {is_in}"));
        groups.collect::<Vec<_>>()
    };
    let left = ["default/s1/s1-x false", "default/s1/s1-y false"];
    assert!(scope(ingress("second", "c.example.com", "s1")).is_empty());
    assert!(scope(Change::Ingress(key("s1"), None)).is_empty());
    assert_eq!(scope(Change::Ingress(key("second"), None)), left);
    assert!(scope(slice("s1-z", "s1", "10.0.0.9")).is_empty());
    assert_eq!(
        scope(slice("s0-z", "s0", "10.0.0.9")),
        ["default/s0/s0-z true"]
    );
    assert_eq!(
        scope(slice("s0-z", "s1", "10.0.0.9")),
        ["default/s0/s0-z false"]
    );
}

#[test]
fn the_secrets_that_are_wanted_are_those_that_served_ingresses_and_the_settings_name() {
    let mut compiler = Compiler::new(Settings {
        default_certificate: Some(Name::new("ops/default").unwrap()),
        ..Settings::default()
    });
    let with_annotations = |class: &str, annotations: Value| {
        let tls = json!([{"secretName": "own"}, {"secretName": "no/name"}, {"hosts": []}]);
        object(json!({
            "metadata": {"annotations": annotations},
            "spec": {"ingressClassName": class, "tls": tls},
        }))
    };
    let annotations = json!({
        "nginx.ingress.kubernetes.io/auth-tls-secret": "default/clients",
        "nginx.ingress.kubernetes.io/auth-type": "basic",
        "nginx.ingress.kubernetes.io/auth-secret": "passwords",
        "nginx.ingress.kubernetes.io/proxy-ssl-secret": "team/is-of-another-namespace",
    });
    let ours = with_annotations("meshlite", annotations.clone());
    let foreign = with_annotations("nginx", json!({}));
    compiler.apply(Change::Ingress(key("ours"), Some(ours)));
    compiler.apply(Change::Ingress(
        ObjectKey::new("other", "foreign"),
        Some(foreign),
    ));
    compiler.compile();
    let wanted = |compiler: &Compiler| {
        let wanted = compiler.wanted_secrets().into_iter();
        wanted.map(|key| key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        wanted(&compiler),
        [
            "default/clients",
            "default/own",
            "default/passwords",
            "ops/default"
        ]
    );
    assert_eq!(compiler.served_ingresses(), [key("ours")].into());
    let foreign = with_annotations("nginx", annotations);
    compiler.apply(Change::Ingress(key("ours"), Some(foreign)));
    compiler.compile();
    assert_eq!(wanted(&compiler), ["ops/default"]);
    assert!(compiler.served_ingresses().is_empty());
}
