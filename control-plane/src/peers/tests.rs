//! Replicas that ask each other, over real sockets.

use meshlite_compile::Compiled;
use meshlite_proto::{connect::Security, v1::discovery_request};
use meshlite_snapshot::{AddressFamily, Endpoint, EndpointPort, Name, Protocol};
use tokio::net::TcpListener;

use super::*;
use crate::testing::{Peer, Server, eventually, mk_hello, mk_namespaces, status_client};

/// The EndpointSlice of the control plane's Service, with these replicas.
fn slice(addresses: &[SocketAddr]) -> Compiled {
    let mut compiled = mk_namespaces(&["default"]);
    for (n, address) in addresses.iter().enumerate() {
        let endpoint = Endpoint {
            address: address.ip(),
            ready: true,
            serving: true,
            terminating: false,
            node: None,
            zone: None,
            hostname: None,
            target: None,
            hint_zones: vec![],
            hint_nodes: vec![],
        };
        let group = EndpointGroup {
            namespace: "meshlite".into(),
            service: "control-plane".into(),
            slice: format!("slice-{n}"),
            address_family: AddressFamily::Ipv4,
            ports: vec![EndpointPort {
                name: PORT.into(),
                protocol: Protocol::Tcp,
                port: Some(address.port()),
                app_protocol: None,
            }],
            endpoints: vec![endpoint],
        };
        let name = Name::part("meshlite", "control-plane", format!("slice-{n}")).unwrap();
        compiled
            .snapshot
            .insert(name, Resource::EndpointGroup(Arc::new(group)));
    }
    compiled
}

fn peers(own: Clients, replica: &str, views: Views) -> Peers {
    let service = ObjectKey::new("meshlite", "control-plane");
    let (_, security) = watch::channel(Security::Plaintext);
    Peers::of(own, replica, service, views, security)
}

/// Two replicas that know each other, and a node on the second.
async fn pair() -> (Server, Server, Peer) {
    let start = |name: &'static str| Server::start_with(move |own, views| peers(own, name, views));
    let (mut first, mut second) = (start("first").await, start("second").await);
    let both = slice(&[first.addr, second.addr]);
    first.publish(&both);
    second.publish(&both);
    let hello = mk_hello(v1::Role::L4Node, &Topic::NODE);
    let mut node = Peer::connect(second.addr, hello).await;
    let commit = node.commit().await;
    node.acknowledge(&commit).await;
    (first, second, node)
}

async fn ask(addr: SocketAddr) -> v1::ListClientsResponse {
    let mut status = status_client(addr).await;
    let answer = status.list_clients(v1::ListClientsRequest::default()).await;
    answer.unwrap().into_inner()
}

#[tokio::test]
async fn every_replica_answers_for_all_and_passes_questions_on() {
    let (first, second, _node) = Box::pin(pair()).await;
    for addr in [first.addr, second.addr] {
        let is_there = |answer: &v1::ListClientsResponse| {
            answer
                .clients
                .iter()
                .any(|c| c.replica == "second" && c.converged)
        };
        let answer = eventually("the node is listed", async || ask(addr).await, is_there).await;
        assert_eq!((answer.clients.len(), answer.unreachable.len()), (1, 0));
        let request = v1::DiffClientRequest {
            client: "node-a".into(),
        };
        let mut status = status_client(addr).await;
        let diff = status.diff_client(request).await.unwrap().into_inner();
        assert_eq!(diff.client.unwrap().replica, "second");
        assert_eq!(diff.pending, []);
    }
    let local = v1::ListClientsRequest {
        local_only: true,
        ..v1::ListClientsRequest::default()
    };
    let mut status = status_client(first.addr).await;
    assert_eq!(
        status
            .list_clients(local)
            .await
            .unwrap()
            .into_inner()
            .clients,
        []
    );
}

#[tokio::test]
async fn a_replica_that_does_not_answer_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let mut server = Server::start_with(|own, views| peers(own, "only", views)).await;
    server.publish(&slice(&[server.addr, address]));
    let answer = ask(server.addr).await;
    let [unreachable] = &answer.unreachable[..] else {
        panic!("{answer:?}");
    };
    assert_eq!(unreachable.address, address.to_string());
    assert!(!unreachable.error.is_empty());
}

#[tokio::test]
async fn what_is_reported_to_one_replica_counts_at_every_one() {
    let (first, second, node) = Box::pin(pair()).await;
    let address: std::net::IpAddr = "10.0.0.1".parse().unwrap();
    let bases = Arc::new(BTreeMap::from([(address, 100)]));
    let web = ObjectKey::new("default", "web");
    let balanced = Arc::new(BTreeMap::from([(web, bases)]));
    for server in [&first, &second] {
        server.discovery.reports.expect(Arc::clone(&balanced));
    }
    let load = v1::EndpointLoad {
        service: "default/web".into(),
        address: address.to_string(),
        port: 0,
        active_connections: 30,
    };
    let beat = v1::Heartbeat {
        loads: vec![load.clone()],
        ..v1::Heartbeat::default()
    };
    node.say(discovery_request::Kind::Heartbeat(beat)).await;
    let ask = async |addr, local_only| {
        let mut status = status_client(addr).await;
        let request = v1::ListLoadsRequest { local_only };
        status.list_loads(request).await.unwrap().into_inner().loads
    };
    for addr in [first.addr, second.addr] {
        let is_counted = |loads: &Vec<v1::EndpointLoad>| *loads == [load.clone()];
        eventually("it counts", async || ask(addr, false).await, is_counted).await;
    }
    assert_eq!(ask(first.addr, true).await, []);
    assert_eq!(ask(second.addr, true).await, [load]);
}
