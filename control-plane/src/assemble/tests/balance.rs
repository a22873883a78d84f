//! Weights by load through a whole control plane: what nodes report comes back to them as Weights.

use std::{collections::BTreeMap, fs};

use meshlite_proto::v1::discovery_request::Kind;
use meshlite_snapshot::Snapshot;

use super::*;
use crate::testing::{Peer, mk_hello};

/// A Service with two endpoints, balanced by load.
const WEB: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: default
  annotations: {meshlite.io/balance: load}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.0.0.1]}
- {addresses: [10.0.0.2]}
";

/// A client of this role on this node, which was sent what there is.
async fn client(running: &Running, role: v1::Role, node: &str) -> Peer {
    let topics = match role {
        v1::Role::L4Node => &Topic::NODE[..],
        v1::Role::Ingress | v1::Role::Unspecified => &Topic::INGRESS[..],
    };
    let mut hello = mk_hello(role, topics);
    hello.client.as_mut().unwrap().node_name = node.to_owned();
    let mut client = Peer::connect(running.grpc, hello).await;
    let commit = client.commit().await;
    client.acknowledge(&commit).await;
    client
}

/// Says what the endpoints of `web` carry for this client.
async fn report(client: &Peer, counts: &[u64]) {
    let loads = (1..).zip(counts).map(|(n, count)| v1::EndpointLoad {
        service: "default/web".into(),
        address: format!("10.0.0.{n}"),
        port: 8080,
        active_connections: *count,
    });
    let beat = v1::Heartbeat {
        loads: loads.collect(),
        ..v1::Heartbeat::default()
    };
    client.say(Kind::Heartbeat(beat)).await;
}

/// What the control plane counts, by address.
async fn counted(running: &Running) -> BTreeMap<String, u64> {
    let mut status = status_client(running.grpc).await;
    let Ok(listed) = status.list_loads(v1::ListLoadsRequest::default()).await else {
        return BTreeMap::new();
    };
    let loads = listed.into_inner().loads.into_iter();
    loads
        .map(|load| (load.address, load.active_connections))
        .collect()
}

/// The weights of `web` that differ from 100, by address.
fn weights(snapshot: &Snapshot) -> BTreeMap<String, u16> {
    let name = Name::namespaced("default", "web").unwrap();
    let weights = snapshot.weights.get(&name).into_iter();
    let endpoints = weights.flat_map(|weights| &weights.endpoints);
    endpoints
        .map(|endpoint| (endpoint.address.to_string(), endpoint.weight))
        .collect()
}

fn of(pairs: &[(&str, u16)]) -> BTreeMap<String, u16> {
    let pairs = pairs.iter();
    pairs
        .map(|(address, weight)| ((*address).to_owned(), *weight))
        .collect()
}

#[tokio::test]
async fn weights_of_one_to_three_are_derived_from_what_two_nodes_report() {
    let folder = mk_folder(&[("web.yaml", WEB)]);
    let running = Running::on(folder.path()).await;
    let mut plane = Plane::node(running.grpc);
    plane
        .until("nothing is reported", |s| s.weights.len() == 1)
        .await;
    assert_eq!(weights(&plane.snapshot), of(&[]));
    let first = client(&running, v1::Role::L4Node, "node-1").await;
    let second = client(&running, v1::Role::L4Node, "node-2").await;
    report(&first, &[30, 0]).await;
    report(&second, &[0, 10]).await;
    // 67 and 200; or within a fifth of that, where it was looked at between the reports. One report alone is 1 to 16.
    let is_one_to_three = |s: &Snapshot| match weights(s).values().collect::<Vec<_>>()[..] {
        [one, three] => (54..=80).contains(one) && (160..=240).contains(three),
        _ => false,
    };
    plane
        .until("30 and 10 connections are 1 to 3", is_one_to_three)
        .await;
    let metrics = running.get("/metrics").await;
    assert!(metrics.contains("meshlite_services_balanced_by_load 1"));
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_and_an_endpoint_that_is_removed_are_forgotten() {
    let folder = mk_folder(&[("web.yaml", WEB)]);
    let running = Running::on(folder.path()).await;
    let mut plane = Plane::node(running.grpc);
    plane.until("all is there", |s| s.weights.len() == 1).await;
    let first = client(&running, v1::Role::L4Node, "node-1").await;
    let second = client(&running, v1::Role::L4Node, "node-2").await;
    let ask = async || counted(&running).await;
    let is = |pairs: &[(&str, u64)]| {
        let pairs: BTreeMap<_, _> = pairs.iter().map(|(a, n)| ((*a).to_owned(), *n)).collect();
        move |counted: &BTreeMap<String, u64>| *counted == pairs
    };
    report(&first, &[20, 5, 7]).await;
    report(&second, &[10, 5]).await;
    let all = is(&[("10.0.0.1", 30), ("10.0.0.2", 10)]);
    eventually("both count, a stranger does not", ask, all).await;
    drop(second);
    let one = is(&[("10.0.0.1", 20), ("10.0.0.2", 5)]);
    eventually("the one that is left counts", ask, one).await;
    let file = folder.path().join("web.yaml");
    fs::write(&file, WEB.replace("- {addresses: [10.0.0.2]}\n", "")).unwrap();
    eventually("the endpoint is forgotten", ask, is(&[("10.0.0.1", 20)])).await;
    fs::write(&file, WEB.replace("balance: load", "weights: 10.0.0.1=7")).unwrap();
    eventually("the Service is forgotten", ask, is(&[])).await;
    plane
        .until("what is written counts", |s| {
            weights(s) == of(&[("10.0.0.1", 7)])
        })
        .await;
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_lies_starves_no_endpoint_and_an_ingress_is_not_heard() {
    let folder = mk_folder(&[("web.yaml", WEB)]);
    let running = Running::on(folder.path()).await;
    let mut plane = Plane::node(running.grpc);
    plane.until("all is there", |s| s.weights.len() == 1).await;
    let ingress = client(&running, v1::Role::Ingress, "node-1").await;
    report(&ingress, &[0, 1_000]).await;
    let is_dropped = |metrics: &String| {
        metrics.contains("meshlite_load_reports_dropped_total{reason=\"role\"} 2")
    };
    let metrics = async || running.get("/metrics").await;
    eventually("the ingress is not heard", metrics, is_dropped).await;
    assert_eq!(counted(&running).await, BTreeMap::new());
    let liar = client(&running, v1::Role::L4Node, "node-1").await;
    report(&liar, &[u64::MAX, 0]).await;
    let is_moved = |s: &Snapshot| weights(s).contains_key("10.0.0.1");
    plane.until("the lie is heard", is_moved).await;
    let bounds = of(&[("10.0.0.1", 50), ("10.0.0.2", 800)]);
    assert_eq!(weights(&plane.snapshot), bounds);
    running.stop().await;
}
