//! What data planes prove, what the leader then writes, and what it leaves alone: against a log without a server.

mod api;
mod writing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use meshlite_compile::{Compiled, Inputs, ObjectKey, Settings, compile};
use meshlite_kubernetes::{Address, Notice, Programmed, ServiceState, Subject};
use meshlite_proto::{encode, v1};
use meshlite_snapshot::{Finding, ObjectRef, ResourceType, Severity, Topic};
use serde_json::json;
use tokio::time::Instant;

use super::{index::Index, members::Members, *};
use crate::{
    metrics::Metrics,
    publish::{Publisher, Stamp, View},
    testing::delta,
};

/// A control plane that publishes what a test says, and its reporter's view of it.
struct World {
    publisher: Publisher,
    views: Views,
    index: Index,
    members: Members,
    inputs: Inputs,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let (publisher, views) = Publisher::new(Arc::new(Metrics::default()));
        let mut world = Self {
            publisher,
            views,
            index: Index::default(),
            members: Members::default(),
            inputs: Inputs::default(),
            now: Instant::now(),
        };
        world.service("web", 80);
        world.ingress("web", "web.example.com", 80);
        world
    }

    fn service(&mut self, name: &str, port: u16) {
        let service = json!({
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                     "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                     "ports": [{"port": port, "nodePort": 30_080, "protocol": "TCP", "targetPort": 80}]},
        });
        let service = serde_json::from_value(service).unwrap();
        self.inputs
            .services
            .insert(ObjectKey::new("shop", name), Arc::new(service));
    }

    fn ingress(&mut self, name: &str, host: &str, port: u16) {
        let ingress = json!({
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"ingressClassName": "meshlite", "rules": [{"host": host, "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": port}}}},
            ]}}]},
        });
        let ingress = serde_json::from_value(ingress).unwrap();
        self.inputs
            .ingresses
            .insert(ObjectKey::new("shop", name), Arc::new(ingress));
        let class = json!({"metadata": {"name": "meshlite"}, "spec": {"controller": "meshlite.io/ingress"}});
        let class = serde_json::from_value(class).unwrap();
        self.inputs
            .ingress_classes
            .insert("meshlite".into(), Arc::new(class));
    }

    fn publish(&mut self) -> Arc<View> {
        let compiled: Compiled = compile(&self.inputs, &Settings::default());
        let stamp = Stamp {
            at: self.now,
            changed: SystemTime::UNIX_EPOCH,
        };
        let before = self.views.borrow().clone();
        let delta = delta(before.as_deref(), &compiled);
        self.publisher.publish(&delta, stamp, Vec::new());
        self.publisher.announce();
        let view = self.views.borrow().clone().unwrap();
        self.index.update(&view);
        view
    }

    fn see(&mut self, clients: &[v1::Client]) {
        let view = self.views.borrow().clone().unwrap();
        self.index.update(&view);
        self.members.update(&view, clients, self.now);
    }

    fn programmed(&self, role: v1::Role, kind: &'static str) -> (usize, usize) {
        let key = ObjectKey::new("shop", "web");
        let changed = match kind {
            "Ingress" => self.index.ingresses.get(&key),
            _ => self.index.services.get(&key),
        };
        let census = self.members.census(role, &self.index, self.now);
        let object = ObjectRef::new(kind, "shop", "web");
        let Programmed { done, of } = census.programmed(&object, changed.copied());
        (done, of)
    }
}

/// A data plane that holds what this view holds.
fn client(id: &str, role: v1::Role, view: &View) -> v1::Client {
    let topics = match role {
        v1::Role::Ingress => &Topic::INGRESS[..],
        _ => &Topic::NODE[..],
    };
    let digest = |topic: &Topic| crate::stream::digest(view, *topic);
    v1::Client {
        identity: Some(v1::ClientIdentity {
            id: id.into(),
            node_name: format!("node-of-{id}"),
            ..v1::ClientIdentity::default()
        }),
        role: role.into(),
        installed: topics.iter().map(digest).collect(),
        ..v1::Client::default()
    }
}

fn rejecting(mut client: v1::Client, kind: ResourceType, name: &str) -> v1::Client {
    client.rejections = vec![v1::Rejection {
        topic: Some(encode::topic(Topic::all(kind))),
        name: name.into(),
        version: "00ff".into(),
        reason: v1::RejectReason::NotProgrammed.into(),
        message: "no room".into(),
        serving_version: String::new(),
    }];
    client
}

#[tokio::test(start_paused = true)]
async fn a_data_plane_counts_once_it_proves_the_last_change_of_the_object() {
    let mut world = World::new();
    let before = world.publish();
    world.service("web", 81);
    let after = world.publish();
    let node = v1::Role::L4Node;
    world.see(&[client("a", node, &before), client("b", node, &after)]);
    assert_eq!(world.programmed(node, "Service"), (1, 2));
    world.see(&[client("a", node, &after), client("b", node, &after)]);
    assert_eq!(world.programmed(node, "Service"), (2, 2));
    // A change of another object takes no proof away.
    world.service("other", 80);
    world.publish();
    world.see(&[client("a", node, &after), client("b", node, &after)]);
    assert_eq!(world.programmed(node, "Service"), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn one_that_rejects_part_of_an_object_does_not_count_for_it_and_its_owner_is_told() {
    let mut world = World::new();
    let view = world.publish();
    let role = v1::Role::Ingress;
    let table = "meshlite/web.example.com";
    let bad = rejecting(client("b", role, &view), ResourceType::RouteTable, table);
    world.see(&[client("a", role, &view), bad]);
    assert_eq!(world.programmed(role, "Ingress"), (1, 2));
    let subject = |object: &ObjectRef| (object.kind == "Ingress").then(|| ingress_of(object));
    let finding = Finding {
        severity: Severity::Error,
        source: None,
        object: ObjectRef::new("Ingress", "shop", "web"),
        field: "spec.rules[0]".into(),
        reason: "Conflict".into(),
        message: "another comes first".into(),
    };
    let unknown = Finding {
        object: ObjectRef::new("Service", "shop", "nobody"),
        ..finding.clone()
    };
    let notices = desired::notices(&[finding, unknown], &world.index, &world.members, subject);
    let rejected = "not taken by ingress node-of-b: RouteTable meshlite/web.example.com (NOT_PROGRAMMED: no room); \
                    what was served of it before stays";
    let conflict = "spec.rules[0]: another comes first";
    assert_eq!(
        said(&notices),
        [("Conflict", "web", conflict), ("Rejected", "web", rejected)]
    );
}

fn ingress_of(object: &ObjectRef) -> Subject {
    Subject {
        kind: object.kind.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        uid: "u-1".into(),
    }
}

fn said(notices: &[Notice]) -> Vec<(&str, &str, &str)> {
    notices
        .iter()
        .map(|n| (&*n.reason, &*n.subject.name, &*n.message))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_many_reject_in_several_versions_is_one_event_that_stays_the_same() {
    let mut world = World::new();
    let view = world.publish();
    let role = v1::Role::L4Node;
    let name = "shop/web";
    let bad = |id| rejecting(client(id, role, &view), ResourceType::Service, name);
    let mut other_version = bad("c");
    other_version.rejections[0].version = "00aa".into();
    let notices = |world: &World| {
        desired::notices(&[], &world.index, &world.members, |object| {
            Some(ingress_of(object))
        })
    };
    world.see(&[bad("b")]);
    let before = notices(&world);
    world.see(&[bad("a"), bad("b"), other_version]);
    let after = notices(&world);
    let message = "not taken by 3 nodes, first node-of-a: Service shop/web (NOT_PROGRAMMED: no room); what was served of \
                   it before stays";
    assert_eq!(said(&after), [("Rejected", "web", message)]);
    assert_eq!(before[0].name(), after[0].name());
    // Once nobody rejects it any more, there is nothing to say.
    let good = ["a", "b", "c"].map(|id| client(id, role, &view));
    world.see(&good);
    assert_eq!(notices(&world), []);
}

#[test]
fn what_is_said_of_one_field_for_one_reason_is_one_event() {
    let finding = |message: &str| Finding {
        severity: Severity::Warning,
        source: None,
        object: ObjectRef::new("Ingress", "shop", "web"),
        field: "spec.tls".into(),
        reason: "SecretNotFound".into(),
        message: message.into(),
    };
    let found = [finding("no a"), finding("no b")];
    let (index, members) = (Index::default(), Members::default());
    let subject = |object: &ObjectRef| Some(ingress_of(object));
    let both = desired::notices(&found, &index, &members, subject);
    let message = "spec.tls: no a; spec.tls: no b";
    assert_eq!(said(&both), [("SecretNotFound", "web", message)]);
    let one = desired::notices(&found[1..], &index, &members, subject);
    assert_eq!(one[0].name(), both[0].name());
}

#[test]
fn events_are_only_about_what_we_serve() {
    let facts = Facts {
        served_ingresses: Arc::new([ObjectKey::new("shop", "ours")].into()),
        served_classes: Arc::new(["edge".to_owned()].into()),
        ..Facts::default()
    };
    let is_ours = |kind: &'static str, namespace: &str, name: &str| {
        desired::is_ours(&ObjectRef::new(kind, namespace, name), &facts)
    };
    assert!(is_ours("Ingress", "shop", "ours"));
    assert!(!is_ours("Ingress", "shop", "foreign"));
    assert!(is_ours("Service", "shop", "web"));
    assert!(is_ours("IngressClass", "", "edge"));
    assert!(!is_ours("IngressClass", "", "nginx"));
    for kind in ["Secret", "Node", "Namespace", "EndpointSlice", "RouteTable"] {
        assert!(!is_ours(kind, "shop", "ours"), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_connects_again_leaves_no_trace_and_one_that_stays_away_is_gone() {
    let mut world = World::new();
    let view = world.publish();
    let node = v1::Role::L4Node;
    let both = [client("a", node, &view), client("b", node, &view)];
    world.see(&both);
    world.now += Duration::from_secs(30);
    world.see(&both[..1]);
    assert_eq!(world.programmed(node, "Service"), (2, 2));
    world.now += Duration::from_secs(40);
    world.see(&both[..1]);
    assert_eq!(world.programmed(node, "Service"), (1, 1));
    // Its successor on the same node takes its place at once, and counts when it has had time to prove something.
    let mut successor = client("c", node, &view);
    successor.identity.as_mut().unwrap().node_name = "node-of-a".into();
    successor.installed.clear();
    world.now += Duration::from_secs(1);
    world.see(&[successor.clone()]);
    assert_eq!(world.programmed(node, "Service"), (0, 0));
    world.now += Duration::from_secs(30);
    world.see(&[successor]);
    assert_eq!(world.programmed(node, "Service"), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn addresses_of_a_node_port_are_those_of_the_nodes_with_an_ingress() {
    let mut world = World::new();
    let node = json!({"metadata": {"name": "node-of-a"}, "status": {"addresses": [
        {"type": "InternalIP", "address": "10.1.0.1"}, {"type": "Hostname", "address": "a"}]}});
    let node = Arc::new(serde_json::from_value(node).unwrap());
    world.inputs.nodes = BTreeMap::from([("node-of-a".to_owned(), node)]);
    let view = world.publish();
    let on_nodes = ServiceState {
        is_on_nodes: true,
        ..ServiceState::default()
    };
    let publish = PublishStatus::Service(ObjectKey::new("meshlite", "ingress"));
    let addresses = |world: &World, publish, service| {
        desired::addresses(publish, service, &world.index, &world.members, world.now)
    };
    // Nobody is connected, or the Service is not there: what the status says stays.
    assert_eq!(addresses(&world, &publish, Some(&on_nodes)), None);
    assert_eq!(addresses(&world, &publish, None), None);
    world.see(&[client("a", v1::Role::Ingress, &view)]);
    let found = addresses(&world, &publish, Some(&on_nodes));
    assert_eq!(found, Some(BTreeSet::from([Address::from("10.1.0.1")])));
    let fixed = PublishStatus::Addresses(vec!["localhost".into()]);
    let found = addresses(&world, &fixed, None);
    assert_eq!(found, Some(BTreeSet::from([Address::from("localhost")])));
    assert_eq!(addresses(&world, &PublishStatus::Nothing, None), None);
}
