//! A Service that is balanced by load, with nodes that carry its connections and count them.

use std::{fs, net::SocketAddr, time::Duration};

use meshlite_node::{Mode, Node};
use meshlite_proto::{
    connect::Security,
    subscribe::{ClientConfig, subscribe},
    v1::{self, ListLoadsRequest, snapshot_status_client::SnapshotStatusClient},
};
use meshlite_snapshot::Topic;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    PROCESS,
    manifests::Manifests,
    world::{World, fetch},
};

/// Two heartbeats, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(90);
const PORT: u16 = 80;

/// Two endpoints, each of which says which one it is to whoever connects.
struct Endpoints {
    addresses: [SocketAddr; 2],
    _serving: JoinSet<()>,
}

impl Endpoints {
    async fn start() -> Self {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let first = TcpListener::bind(SocketAddr::from(([127, 96, high, low], 0)))
            .await
            .unwrap();
        let port = first.local_addr().unwrap().port();
        let second = TcpListener::bind(SocketAddr::from(([127, 97, high, low], port)))
            .await
            .unwrap();
        let addresses = [&first, &second].map(|listener| listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        for (which, listener) in (0..).zip([first, second]) {
            serving.spawn(async move {
                let mut open = JoinSet::new();
                while let Ok((mut stream, _)) = listener.accept().await {
                    open.spawn(async move {
                        stream.write_all(&[which]).await.ok();
                        // Until the client goes.
                        stream.read_u8().await.ok();
                    });
                }
            });
        }
        Self {
            addresses,
            _serving: serving,
        }
    }

    /// The Service with these annotations at this address.
    fn manifest(&self, vip: &str, annotations: &str) -> String {
        let [first, second] = self.addresses;
        format!(
            "apiVersion: v1\nkind: Service\n\
             metadata: {{name: web, annotations: {{{annotations}}}}}\n\
             spec: {{clusterIP: {vip}, ports: [{{name: http, port: {PORT}}}]}}\n---\n\
             apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: web-a, labels: {{kubernetes.io/service-name: web}}}}\n\
             addressType: IPv4\nports: [{{name: http, port: {}}}]\n\
             endpoints: [{{addresses: [{}]}}, {{addresses: [{}]}}]\n",
            first.port(),
            first.ip(),
            second.ip()
        )
    }
}

/// A connection, and which endpoint it reached.
async fn connect(to: SocketAddr) -> std::io::Result<(TcpStream, u8)> {
    let mut stream = TcpStream::connect(to).await?;
    let which = stream.read_u8().await?;
    Ok((stream, which))
}

/// As many connections to each endpoint; waits until the node serves.
async fn connections(to: SocketAddr, wanted: [usize; 2]) -> Vec<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    let mut held = Vec::new();
    let mut missing = wanted;
    while missing != [0, 0] {
        match connect(to).await {
            Ok((stream, which)) => {
                let missing = &mut missing[usize::from(which)];
                if *missing > 0 {
                    *missing -= 1;
                    held.push(stream);
                }
            }
            Err(error) => {
                assert!(Instant::now() < deadline, "{to}: {error}");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    held
}

/// A node that installs what it is sent and carries these connections.
fn other_node(
    url: String,
    endpoints: &Endpoints,
    carried: [u64; 2],
    stop: CancellationToken,
) -> JoinSet<()> {
    let config = ClientConfig {
        endpoints: vec![url],
        identity: v1::ClientIdentity {
            node_name: "node-2".to_owned(),
            ..v1::ClientIdentity::default()
        },
        role: v1::Role::L4Node,
        topics: Topic::NODE.to_vec(),
        security: Security::Plaintext,
        cache: None,
    };
    let mut subscription = subscribe(config, stop);
    let loads = endpoints.addresses.into_iter().zip(carried);
    let loads = loads.map(|(address, count)| v1::EndpointLoad {
        service: "default/web".to_owned(),
        address: address.ip().to_string(),
        port: address.port().into(),
        active_connections: count,
    });
    subscription.report(loads.collect());
    let mut running = JoinSet::new();
    running.spawn(async move {
        while let Some(commit) = subscription.next().await {
            commit.acknowledge();
        }
    });
    running
}

/// What nodes reported, as the control plane adds it up, in the order of addresses.
async fn reported(address: SocketAddr) -> Vec<u64> {
    let url = format!("http://{address}");
    let mut status = SnapshotStatusClient::connect(url).await.unwrap();
    let listed = status.list_loads(ListLoadsRequest::default()).await;
    let loads = listed.unwrap().into_inner().loads.into_iter();
    loads.map(|load| load.active_connections).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_follow_weights_of_one_to_three_that_two_nodes_reports_gave() {
    let _beside = PROCESS.read().await;
    let endpoints = Endpoints::start().await;
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let vip = format!("127.98.{high}.{low}");
    let manifests = Manifests::new(0);
    fs::create_dir_all(manifests.path()).unwrap();
    let file = manifests.path().join("web.yaml");
    fs::write(&file, endpoints.manifest(&vip, "")).unwrap();
    let world = World::control_plane(&manifests).await;
    let stop = CancellationToken::new();
    let _ends = stop.clone().drop_guard();
    let url = format!("http://{}", world.address);
    let node = Node::bind(meshlite_node::Config {
        node_name: "node-1".to_owned(),
        control_plane: vec![url.clone()],
        mode: Mode::Userspace,
        metrics_listen: None,
        health_listen: None,
        node_port_addresses: vec!["192.0.2.1/32".parse().unwrap()],
        loopback_only: true,
        ..meshlite_node::Config::default()
    });
    let run = Box::pin(node.await.unwrap().run(stop.clone()));
    tokio::spawn(async move { run.await.unwrap() });
    let place = format!("{vip}:{PORT}").parse().unwrap();
    let held = connections(place, [15, 5]).await;
    // Two nodes cannot both serve the address in one network namespace: the other one only says what it carries.
    let other = other_node(url, &endpoints, [15, 5], stop.clone());
    assert_eq!(reported(world.address).await, [0; 0], "nobody asked");

    fs::write(&file, endpoints.manifest(&vip, "meshlite.io/balance: load")).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let loads = reported(world.address).await;
        let fetched = fetch(world.address).await.unwrap();
        let weights = fetched.weights.get("default/web").into_iter();
        let weights = weights.flat_map(|weights| &weights.endpoints);
        let weights: Vec<_> = weights.map(|endpoint| endpoint.weight).collect();
        if weights == [67, 200] && loads == [30, 10] {
            break;
        }
        assert!(Instant::now() < deadline, "{loads:?} gave {weights:?}");
        sleep(Duration::from_millis(200)).await;
    }

    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut reached = [0, 0];
        for _ in 0..40 {
            let (_, which) = connect(place).await.unwrap();
            reached[usize::from(which)] += 1;
        }
        if (8..=13).contains(&reached[0]) {
            break;
        }
        assert!(Instant::now() < deadline, "40 connections went {reached:?}");
        sleep(Duration::from_millis(200)).await;
    }
    drop((held, other));
}
