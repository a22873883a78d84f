//! UDP clients that keep their port, against rules that send a Service to an endpoint.

use std::{net::UdpSocket, time::Duration};

use super::*;
use crate::host::testing::{in_namespace, ip, run};

/// Rules that send the frontends of a Service to an endpoint, or to none.
fn send_to(endpoint: Option<SocketAddr>) {
    let to = endpoint.map_or(String::new(), |endpoint| {
        let family = if endpoint.is_ipv4() { "ip" } else { "ip6" };
        format!("udp dport {{ 53, 30053 }} dnat {family} to {endpoint};")
    });
    // The first chain makes the kernel keep track of connections at all.
    let rules = format!(
        "table inet t {{
           chain track {{ type filter hook output priority 0; ct state new accept; }}
           chain out {{ type nat hook output priority -100; {to} }}
         }}"
    );
    let _may_not_be_there = std::process::Command::new("nft")
        .args(["delete", "table", "inet", "t"])
        .output();
    run("nft", &[&rules]);
}

/// An endpoint that answers with its name.
struct Endpoint {
    address: SocketAddr,
    socket: UdpSocket,
}

impl Endpoint {
    fn at(address: &str) -> Self {
        let socket = UdpSocket::bind((address.parse::<std::net::IpAddr>().unwrap(), 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            address: socket.local_addr().unwrap(),
            socket,
        }
    }

    /// Whether a packet waits for it.
    fn was_asked(&self) -> bool {
        let mut asked = false;
        while self.socket.recv(&mut [0; 8]).is_ok() {
            asked = true;
        }
        asked
    }
}

fn client(address: &str) -> UdpSocket {
    let client = UdpSocket::bind(at(address)).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    client
}

/// Deletes what is stale.
fn reconcile(serving: &Serving) -> usize {
    let mut conntrack = Conntrack::connect().unwrap();
    let flows = conntrack.flows(&[Protocol::Udp]).unwrap();
    let stale = serving.stale(flows);
    conntrack.delete(&stale).unwrap()
}

fn world() -> (Endpoint, Endpoint) {
    for address in [
        "10.244.0.2/32",
        "10.244.0.3/32",
        "10.96.0.10/32",
        "172.18.0.2/32",
    ] {
        ip(&format!("addr add {address} dev lo"));
    }
    (Endpoint::at("10.244.0.2"), Endpoint::at("10.244.0.3"))
}

#[test]
fn a_client_that_keeps_its_port_reaches_the_new_endpoint_after_the_old_one_went() {
    in_namespace(|| {
        let (old, new) = world();
        for (frontend, port) in [("10.96.0.10:53", "12345"), ("172.18.0.2:30053", "12346")] {
            let client = client(&format!("0.0.0.0:{port}"));
            send_to(Some(old.address));
            client.send_to(b"1", frontend).unwrap();
            assert!(old.was_asked());
            send_to(Some(new.address));
            client.send_to(b"2", frontend).unwrap();
            assert!(
                old.was_asked() && !new.was_asked(),
                "the kernel remembers {frontend}"
            );

            let text = |e: &Endpoint| e.address.to_string();
            assert_eq!(reconcile(&serving(&[&text(&old), &text(&new)])), 0);
            assert_eq!(reconcile(&serving(&[&text(&new)])), 1, "{frontend}");
            client.send_to(b"3", frontend).unwrap();
            assert!(new.was_asked() && !old.was_asked(), "{frontend}");
            assert_eq!(reconcile(&serving(&[&text(&new)])), 0);
        }
    });
}

#[test]
fn a_client_that_was_there_before_any_endpoint_reaches_the_first_one() {
    in_namespace(|| {
        let (first, _) = world();
        let client = client("0.0.0.0:12345");
        send_to(None);
        client.send_to(b"1", "10.96.0.10:53").unwrap();
        send_to(Some(first.address));
        client.send_to(b"2", "10.96.0.10:53").unwrap();
        assert!(
            !first.was_asked(),
            "the kernel remembers that there was none"
        );
        let address = first.address.to_string();
        assert_eq!(reconcile(&serving(&[])), 0);
        assert_eq!(reconcile(&serving(&[&address])), 1);
        client.send_to(b"3", "10.96.0.10:53").unwrap();
        assert!(first.was_asked());
    });
}

#[test]
fn a_client_that_nobody_answered_begins_again_once_nobody_serves_and_others_stay() {
    in_namespace(|| {
        let (endpoint, _) = world();
        send_to(Some(endpoint.address));
        let (answered, unanswered) = (client("0.0.0.0:12345"), client("0.0.0.0:12346"));
        for client in [&answered, &unanswered] {
            client.send_to(b"1", "10.96.0.10:53").unwrap();
        }
        let mut bytes = [0; 8];
        while let Ok((_, client)) = endpoint.socket.recv_from(&mut bytes) {
            if client.port() == 12345 {
                endpoint.socket.send_to(b"2", client).unwrap();
            }
        }
        let (_, from) = answered.recv_from(&mut bytes).unwrap();
        assert_eq!(from, at("10.96.0.10:53"));
        let address = endpoint.address.to_string();
        assert_eq!(reconcile(&serving(&[&address])), 0);
        assert_eq!(reconcile(&serving(&[])), 1);
        assert_eq!(reconcile(&serving(&[])), 0);
    });
}

#[test]
fn connections_of_ipv6_are_read_and_deleted_and_others_stay() {
    in_namespace(|| {
        for address in ["fd00:96::10", "fd00:244::2"] {
            ip(&format!("addr add {address}/128 dev lo nodad"));
        }
        let endpoint = Endpoint::at("fd00:244::2");
        send_to(Some(endpoint.address));
        let (one, two) = (client("[::]:12345"), client("[::]:12346"));
        for client in [&one, &two] {
            client.send_to(b"1", "[fd00:96::10]:53").unwrap();
        }
        let mut conntrack = Conntrack::connect().unwrap();
        let mut flows = conntrack.flows(&[Protocol::Udp]).unwrap();
        flows.sort_by_key(|flow| flow.original.source.port());
        let [first, second] = flows[..] else {
            panic!("{flows:?}")
        };
        assert_eq!(first.original.destination, at("[fd00:96::10]:53"));
        assert_eq!(first.reply.source, endpoint.address);
        assert!(
            conntrack
                .flows(&[Protocol::Tcp, Protocol::Sctp])
                .unwrap()
                .is_empty()
        );
        assert_eq!(conntrack.delete(&[first]).unwrap(), 1);
        // Of a connection that ended, and of none, nothing is deleted.
        assert_eq!(conntrack.delete(&[first]).unwrap(), 0);
        assert_eq!(conntrack.delete(&[]).unwrap(), 0);
        let another = Flow {
            id: second.id.wrapping_add(1),
            ..second
        };
        assert_eq!(conntrack.delete(&[another]).unwrap(), 0);
        assert_eq!(conntrack.flows(&[Protocol::Udp]).unwrap(), [second]);
    });
}
