//! Packets through flat maps: a client, a node that balances, and two endpoints, each in a namespace of its own.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use meshlite_nft::Nftables;

use crate::{namespace::Namespace, rules::Flat, service::Service};

const CLIENT: &str = "10.0.0.2";
const ENDPOINTS: [&str; 2] = ["10.244.1.1", "10.244.2.1"];
const VIP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// For what must succeed, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);
/// For what must not.
const SILENCE: Duration = Duration::from_secs(2);

struct World {
    node: Namespace,
    client: Namespace,
    endpoints: [Namespace; 2],
    flat: Flat,
}

impl World {
    /// `None` where there are no namespaces.
    fn new() -> Option<Self> {
        let node = Namespace::new()?;
        let client = Namespace::new()?;
        let endpoints = [Namespace::new()?, Namespace::new()?];
        node.join("client", ["10.0.0.1", CLIENT], &client);
        node.join("one", ["10.244.1.254", ENDPOINTS[0]], &endpoints[0]);
        node.join("two", ["10.244.2.254", ENDPOINTS[1]], &endpoints[1]);
        node.forward();
        for (number, endpoint) in (1..).zip(&endpoints) {
            endpoint.run(move || serve(number));
        }
        Some(Self {
            node,
            client,
            endpoints,
            flat: Flat::new("flat"),
        })
    }

    fn load(&self, service: &Service) {
        let transaction = self.flat.load(std::slice::from_ref(service));
        self.node.run(move || {
            let mut nftables = Nftables::connect().expect("nftables");
            nftables.commit(&transaction).expect("loaded");
        });
    }

    /// Which endpoints answer so many connections of the client.
    fn answers(&self, connections: usize) -> [usize; 2] {
        self.client.run(move || {
            let mut answers = [0; 2];
            for _ in 0..connections {
                answers[usize::from(ask(&mut connect(PATIENCE).expect("a connection"))) - 1] += 1;
            }
            answers
        })
    }
}

/// Answers each byte of a connection with a number, until the namespace is gone.
fn serve(number: u8) {
    let listener = TcpListener::bind(("0.0.0.0", 8080)).expect("a free port in a new namespace");
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            thread::spawn(move || {
                let mut byte = [0];
                while matches!(connection.read(&mut byte), Ok(1)) {
                    if connection.write_all(&[number]).is_err() {
                        break;
                    }
                }
            });
        }
    });
}

fn connect(patience: Duration) -> io::Result<TcpStream> {
    let connection = TcpStream::connect_timeout(&SocketAddr::from((VIP, 80)), patience)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    Ok(connection)
}

fn ask(connection: &mut TcpStream) -> u8 {
    let mut answer = [0];
    connection.write_all(&[0]).expect("it is open");
    connection.read_exact(&mut answer).expect("an answer");
    answer[0]
}

fn service() -> Service {
    Service {
        address: VIP,
        protocol: 6,
        port: 80,
        endpoints: ENDPOINTS
            .map(|e| (e.parse().expect("an address"), 8080))
            .to_vec(),
        sticky: false,
        sources: None,
    }
}

#[test]
fn connections_are_balanced_over_the_endpoints() {
    let Some(world) = World::new() else { return };
    world.load(&service());
    let [one, two] = world.answers(200);
    // Six standard deviations to each side.
    assert!((58..=142).contains(&one), "{one} to {two}");
}

#[test]
fn a_changed_endpoint_gets_new_connections_and_the_old_one_keeps_its_own() {
    let Some(world) = World::new() else { return };
    let mut only_one = service();
    only_one.endpoints.truncate(1);
    world.load(&only_one);
    let mut connection = world
        .client
        .run(|| connect(PATIENCE).expect("a connection"));
    assert_eq!(ask(&mut connection), 1);

    let change = world
        .flat
        .change_endpoint(&only_one, 0, service().endpoints[1]);
    world.node.run(move || {
        Nftables::connect()
            .expect("nftables")
            .commit(&change)
            .expect("changed");
    });

    assert_eq!(world.answers(10), [0, 10]);
    assert_eq!(ask(&mut connection), 1);
}

#[test]
fn a_sticky_client_stays_with_its_endpoint() {
    let Some(world) = World::new() else { return };
    world.load(&Service {
        sticky: true,
        ..service()
    });
    let answers = world.answers(30);
    assert!(answers == [30, 0] || answers == [0, 30], "{answers:?}");
    let slot = if answers[0] == 30 {
        "clients-0"
    } else {
        "clients-1"
    };
    let set = world.flat.set(slot);
    let clients = world.node.run(move || {
        Nftables::connect()
            .expect("nftables")
            .elements(&set)
            .expect("elements")
    });
    assert_eq!(clients.len(), 1);
    assert!(
        clients[0]
            .expires
            .is_some_and(|left| left > Duration::from_hours(2)),
        "{clients:?}"
    );
}

#[test]
fn a_service_without_endpoints_refuses() {
    let Some(world) = World::new() else { return };
    world.load(&Service {
        endpoints: Vec::new(),
        ..service()
    });
    let refusal = world
        .client
        .run(|| connect(PATIENCE).expect_err("nobody is there"));
    assert_eq!(refusal.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn who_is_out_of_the_source_ranges_gets_no_answer() {
    let Some(world) = World::new() else { return };
    let range = |first: [u8; 4], last: [u8; 4]| Some((first.into(), last.into()));
    let others = range([192, 168, 0, 0], [192, 168, 255, 255]);
    world.load(&Service {
        sources: others,
        ..service()
    });
    let silence = world
        .client
        .run(|| connect(SILENCE).expect_err("it is not allowed"));
    assert_eq!(silence.kind(), io::ErrorKind::TimedOut);
    world.load(&Service {
        sources: range([10, 0, 0, 2], [10, 0, 0, 2]),
        ..service()
    });
    assert_eq!(world.answers(5).iter().sum::<usize>(), 5);
}

#[test]
fn an_endpoint_reaches_itself_through_the_service() {
    let Some(world) = World::new() else { return };
    let mut only_one = service();
    only_one.endpoints.truncate(1);
    world.load(&only_one);
    let answer = world.endpoints[0].run(|| ask(&mut connect(PATIENCE).expect("a connection")));
    assert_eq!(answer, 1);
}

#[test]
fn the_node_itself_reaches_the_service() {
    let Some(world) = World::new() else { return };
    world.load(&service());
    // Without a route to it nobody asks the output hook.
    let answer = world.node.run(|| {
        crate::namespace::ip("route add 10.96.0.0/16 dev one");
        ask(&mut connect(PATIENCE).expect("a connection"))
    });
    assert!((1..=2).contains(&answer));
}
