//! The whole node against a real gRPC server: commits in, traffic, probes and acknowledgements out.

mod control_plane;

use std::{future::Future, net::SocketAddr, time::Duration};

use meshlite_snapshot::{LoadBalancerAddress, LoadBalancerIpMode, Service, TrafficPolicy};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use self::control_plane::ControlPlane;
use super::*;
use crate::testing::{free_place, mk_group, mk_service, mk_snapshot, own_loopback};

const DEADLINE: Duration = Duration::from_secs(20);

/// A node that follows `control_plane` and ends with the test.
struct Running {
    metrics: SocketAddr,
    health: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Running {
    async fn start(control_plane: &ControlPlane) -> Self {
        Self::start_with(control_plane, |_| {}).await
    }

    async fn start_with(control_plane: &ControlPlane, set: impl FnOnce(&mut Config)) -> Self {
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut config = Config {
            node_name: "n1".into(),
            control_plane: vec![control_plane.url()],
            mode: crate::Mode::Userspace,
            metrics_listen: any,
            health_listen: any,
            node_port_addresses: vec!["127.0.0.1/32".parse().unwrap()],
            sync_period: Duration::from_millis(200),
            ..Config::default()
        };
        set(&mut config);
        let node = Node::bind(config).await.unwrap();
        let stop = CancellationToken::new();
        Self {
            metrics: node.metrics_addr().unwrap(),
            health: node.health_addr().unwrap(),
            stop: stop.clone(),
            task: tokio::spawn(node.run(stop)),
        }
    }

    async fn json(&self, path: &str) -> Value {
        let (_, body) = get(self.metrics, path).await.unwrap();
        serde_json::from_str(&body).unwrap()
    }

    /// The value of a metric without labels.
    async fn metric(&self, name: &str) -> String {
        let metrics = get(self.metrics, "/metrics").await.unwrap().1;
        let lines = metrics.lines().filter_map(|line| line.split_once(' '));
        let mut found = lines.filter(|(is, _)| *is == name).map(|(_, value)| value);
        found.next().expect("the metric is there").to_owned()
    }

    async fn has_metrics(&self, lines: &[&str]) {
        let metrics = get(self.metrics, "/metrics").await.unwrap().1;
        for line in lines {
            assert!(metrics.contains(line), "no {line} in\n{metrics}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Status and body.
async fn get(addr: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok((status, body.to_owned()))
}

/// Waits until `ask` gives what is expected.
async fn eventually<T, F>(expected: T, mut ask: impl FnMut() -> F)
where
    T: PartialEq + std::fmt::Debug,
    F: Future<Output = T>,
{
    let start = Instant::now();
    loop {
        let now = ask().await;
        if now == expected {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{now:?} is not {expected:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Says its name to whoever connects.
async fn backend(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            drop(stream.write_all(name.as_bytes()).await);
        }
    });
    addr
}

/// Who answers at the address; empty if nobody does.
async fn who(addr: SocketAddr) -> String {
    let mut name = String::new();
    if let Ok(mut stream) = TcpStream::connect(addr).await {
        drop(stream.read_to_string(&mut name).await);
    }
    name
}

/// A Service at a place of its own, and where that is.
fn service_at_free_place(name: &str) -> (Service, SocketAddr) {
    let vip = free_place(own_loopback(), meshlite_snapshot::Protocol::Tcp)
        .frontend
        .socket_address();
    let mut service = mk_service(name, &vip.ip().to_string());
    service.ports[0].port = vip.port();
    (service, vip)
}

fn endpoint_of(service: &str, addr: SocketAddr, node: &str) -> meshlite_snapshot::EndpointGroup {
    let mut group = mk_group(service, &[(&addr.ip().to_string(), node)]);
    group.ports[0].port = Some(addr.port());
    group
}

#[tokio::test]
async fn a_commit_becomes_traffic_and_is_acknowledged() {
    let (service, vip) = service_at_free_place("web");
    let control_plane = ControlPlane::start().await;
    let node = Running::start(&control_plane).await;
    assert_eq!(get(node.metrics, "/readyz").await.unwrap().0, 503);
    let one = backend("one").await;
    control_plane.publish(mk_snapshot(
        vec![service.clone()],
        vec![endpoint_of("web", one, "n1")],
    ));
    eventually("one".to_owned(), || who(vip)).await;
    eventually(Some(1), || async { control_plane.acknowledged() }).await;
    assert_eq!(get(node.metrics, "/readyz").await.unwrap().0, 200);
    assert_eq!(get(node.health, "/healthz").await.unwrap().0, 200);
    assert_eq!(get(node.health, "/livez").await.unwrap().0, 200);
    let mode = get(node.metrics, "/proxyMode").await.unwrap();
    assert_eq!(mode, (200, "userspace".to_owned()));
    assert_eq!(node.json("/snapshot").await["generation"], 1);
    let table = node.json("/virtualservers").await;
    let row = &table["virtualServers"][0];
    assert_eq!(row["bound"], vip.to_string());
    assert_eq!(row["programmed"], true);
    assert_eq!(row["realServers"][0]["address"], one.to_string());
    node.has_metrics(&[
        "kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"} ",
        "kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} 0",
        "kubeproxy_sync_proxy_rules_service_changes_total 1",
        "meshlite_node_virtual_servers 1",
        "meshlite_node_snapshot_generation 1",
    ])
    .await;
    let two = backend("two").await;
    let group = endpoint_of("web", two, "n1");
    control_plane.publish(mk_snapshot(vec![service.clone()], vec![group]));
    eventually("two".to_owned(), || who(vip)).await;
    eventually(Some(2), || async { control_plane.acknowledged() }).await;
    node.has_metrics(&[
        "kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} 0",
        "kubeproxy_sync_proxy_rules_service_changes_total 1",
        "kubeproxy_sync_proxy_rules_endpoint_changes_total 2",
    ])
    .await;
    let group = endpoint_of("web", one, "n1");
    control_plane.publish(mk_snapshot(vec![service], vec![group]));
    eventually(Some(3), || async { control_plane.acknowledged() }).await;
    node.has_metrics(&[
        "kubeproxy_network_programming_duration_seconds_bucket{le=\"60.0\",ip_family=\"IPv4\"} 1",
        "kubeproxy_network_programming_duration_seconds_count{ip_family=\"IPv4\"} 1",
    ])
    .await;
}

#[tokio::test]
async fn commits_within_the_min_sync_period_wait_and_become_one_pass() {
    let (service, vip) = service_at_free_place("web");
    let control_plane = ControlPlane::start().await;
    let rest = Duration::from_secs(2);
    let node = Running::start_with(&control_plane, |config| {
        config.min_sync_period = rest;
        config.sync_period = DEADLINE;
    })
    .await;
    let names = ["one", "two", "three", "four"];
    let mut at = vec![];
    for name in names {
        at.push(backend(name).await);
    }
    let publish = |addr| {
        let group = endpoint_of("web", addr, "n1");
        control_plane.publish(mk_snapshot(vec![service.clone()], vec![group]));
    };
    publish(at[0]);
    eventually(names[0].to_owned(), || who(vip)).await;
    let start = Instant::now();
    publish(at[1]);
    let taken = || node.metric("kubeproxy_sync_proxy_rules_endpoint_changes_total");
    eventually("2".to_owned(), taken).await;
    publish(at[2]);
    publish(at[3]);
    eventually(Some(4), || async { control_plane.acknowledged() }).await;
    assert_eq!(who(vip).await, names[3]);
    assert_eq!(taken().await, "3", "the last two changes came as one");
    assert!(start.elapsed() > rest, "{:?}", start.elapsed());
}

#[tokio::test]
async fn losing_the_control_plane_changes_nothing_and_its_return_is_noticed() {
    let (service, vip) = service_at_free_place("web");
    let control_plane = ControlPlane::start().await;
    let _node = Running::start(&control_plane).await;
    let group = endpoint_of("web", backend("one").await, "n1");
    control_plane.publish(mk_snapshot(vec![service.clone()], vec![group]));
    eventually("one".to_owned(), || who(vip)).await;
    let address = control_plane.stop().await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        assert_eq!(who(vip).await, "one");
    }
    let control_plane = ControlPlane::start_at(address).await;
    let group = endpoint_of("web", backend("two").await, "n1");
    control_plane.publish(mk_snapshot(vec![service], vec![group]));
    eventually("two".to_owned(), || who(vip)).await;
}

#[tokio::test]
async fn an_address_that_cannot_be_bound_is_reported_and_stops_nothing_else() {
    let (taken, taken_vip) = service_at_free_place("taken");
    let (free, vip) = service_at_free_place("free");
    let squatter = std::net::TcpListener::bind(taken_vip).unwrap();
    let control_plane = ControlPlane::start().await;
    let node = Running::start(&control_plane).await;
    let one = backend("one").await;
    let groups = ["taken", "free"].map(|name| endpoint_of(name, one, "n1"));
    control_plane.publish(mk_snapshot(vec![taken, free], groups.to_vec()));
    eventually("one".to_owned(), || who(vip)).await;
    eventually(Some(1), || async { control_plane.acknowledged() }).await;
    let table = node.json("/virtualservers").await;
    let finding = &table["findings"][0];
    assert_eq!(finding["object"]["name"], "taken", "{table}");
    assert_eq!(finding["reason"], "NotProgrammed", "{table}");
    let rows = table["virtualServers"].as_array().unwrap();
    let mut programmed: Vec<_> = rows
        .iter()
        .map(|row| (row["service"].as_str(), row["programmed"].as_bool()))
        .collect();
    programmed.sort();
    assert_eq!(
        programmed,
        [(Some("free"), Some(true)), (Some("taken"), Some(false))]
    );
    drop(squatter);
    eventually("one".to_owned(), || who(taken_vip)).await;
    eventually(Value::Array(vec![]), || async {
        node.json("/virtualservers").await["findings"].clone()
    })
    .await;
}

#[tokio::test]
async fn health_check_node_port_says_whether_there_are_local_endpoints() {
    let (mut service, vip) = service_at_free_place("web");
    service.external_traffic_policy = TrafficPolicy::Local;
    service.load_balancer = vec![LoadBalancerAddress {
        ip: own_loopback().into(),
        ip_mode: LoadBalancerIpMode::Vip,
    }];
    let port = free_place([127, 0, 0, 1], meshlite_snapshot::Protocol::Tcp)
        .frontend
        .port;
    service.health_check_node_port = Some(port);
    let control_plane = ControlPlane::start().await;
    let _node = Running::start(&control_plane).await;
    let one = backend("one").await;
    let publish = |node| {
        let group = endpoint_of("web", one, node);
        control_plane.publish(mk_snapshot(vec![service.clone()], vec![group]));
    };
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let ask = || async {
        let (status, body) = get(addr, "/").await.ok()?;
        Some((status, serde_json::from_str::<Value>(&body).unwrap()))
    };
    let answer = |status, endpoints| {
        let body = serde_json::json!({
            "service": { "namespace": "default", "name": "web" },
            "localEndpoints": endpoints,
            "serviceProxyHealthy": true,
        });
        Some((status, body))
    };
    publish("n1");
    eventually(answer(200, 1), ask).await;
    publish("n2");
    eventually(answer(503, 0), ask).await;
    eventually("one".to_owned(), || who(vip)).await;
    control_plane.publish(mk_snapshot(vec![], vec![]));
    eventually(None, ask).await;
}

#[tokio::test]
async fn stopping_ends_the_node_and_frees_its_ports() {
    let (service, vip) = service_at_free_place("web");
    let control_plane = ControlPlane::start().await;
    let mut node = Running::start(&control_plane).await;
    let group = endpoint_of("web", backend("one").await, "n1");
    control_plane.publish(mk_snapshot(vec![service], vec![group]));
    eventually("one".to_owned(), || who(vip)).await;
    node.stop.cancel();
    let ended = tokio::time::timeout(DEADLINE, &mut node.task).await;
    ended.expect("the node ends").unwrap().unwrap();
    eventually(true, || async { std::net::TcpListener::bind(vip).is_ok() }).await;
}

#[tokio::test]
async fn a_node_that_is_bound_follows_the_control_plane_and_programs_nothing_before_it_runs() {
    let (service, vip) = service_at_free_place("web");
    let control_plane = ControlPlane::start().await;
    let group = endpoint_of("web", backend("one").await, "n1");
    control_plane.publish(mk_snapshot(vec![service], vec![group]));
    let config = Config {
        node_name: "n1".into(),
        control_plane: vec![control_plane.url()],
        mode: crate::Mode::Userspace,
        metrics_listen: None,
        health_listen: None,
        ..Config::default()
    };
    let node = Node::bind(config).await.unwrap();
    eventually(1, || async { control_plane.followers() }).await;
    assert_eq!(who(vip).await, "");
    drop(node);
    eventually(0, || async { control_plane.followers() }).await;
    assert_eq!(control_plane.acknowledged(), None);
}

#[tokio::test]
async fn a_dry_run_takes_no_port() {
    let config = Config {
        node_name: "n1".into(),
        dry_run: true,
        ..Config::default()
    };
    let node = Node::bind(config).await.unwrap();
    assert_eq!((node.metrics_addr(), node.health_addr()), (None, None));
}
