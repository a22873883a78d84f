//! Destination NAT of IPv6, as packets see it.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use meshlite_nft::{
    Base, Chain, ChainKind, Expression, Family, Field, Hook, NatFlags, NatKind, Nftables, Policy,
    Register, Rule, Table, TableKey, Transaction, UserData,
};

use crate::namespace::{Namespace, ip};

const VIP: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 1);
const ENDPOINT: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 0, 1);
/// For what must succeed, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything for TCP port 80 of the virtual address goes to this port of the endpoint.
fn redirect(port: u16) -> Transaction {
    let table = TableKey {
        family: Family::Ipv6,
        name: "dnat".parse().expect("a name"),
    };
    let chain = table.chain("in".parse().expect("a name"));
    let mut transaction = Transaction::new();
    transaction.add_table(&Table {
        key: table,
        dormant: false,
        user_data: UserData::default(),
    });
    transaction.add_chain(&Chain {
        key: chain.clone(),
        base: Some(Base {
            kind: ChainKind::Nat,
            hook: Hook::PREROUTING,
            priority: -100,
            policy: Policy::Accept,
        }),
        user_data: UserData::default(),
    });
    let [destination, to_port, address] = [0, 4, 8].map(Register::word);
    let new_port = Expression::Immediate {
        value: Field::Port(port).into(),
        to: to_port,
    };
    let expressions = vec![
        Expression::destination_address(true, destination),
        Expression::equal(destination, Field::from(IpAddr::from(VIP)).into()),
        Expression::transport_protocol(destination),
        Expression::equal(destination, Field::Protocol(6).into()),
        Expression::destination_port(destination),
        Expression::equal(destination, Field::Port(80).into()),
        Expression::address(ENDPOINT.into(), address),
        new_port,
        Expression::Nat {
            kind: NatKind::Destination,
            family: Family::Ipv6,
            address: Some(address),
            port: Some(to_port),
            flags: NatFlags::empty(),
        },
    ];
    transaction.add_rule(&Rule {
        chain,
        expressions,
        user_data: UserData::default(),
    });
    transaction
}

#[test]
fn a_virtual_address_of_ipv6_leads_to_the_endpoint_and_answers_come_from_it() {
    let (Some(node), Some(client)) = (Namespace::new(), Namespace::new()) else {
        return;
    };
    node.join("client", ["10.0.0.1", "10.0.0.2"], &client);
    let listener = node.run(|| {
        ip("addr add fd00:1::1/64 dev client nodad");
        ip(&format!("addr add {ENDPOINT}/128 dev lo nodad"));
        TcpListener::bind((ENDPOINT, 0)).expect("a port of the OS")
    });
    let port = listener.local_addr().expect("bound").port();
    node.run(move || {
        let mut nftables = Nftables::connect().expect("nftables");
        nftables.commit(&redirect(port)).expect("made");
    });
    let mut asking = client.run(|| {
        ip("addr add fd00:1::2/64 dev eth0 nodad");
        ip("route add default via fd00:1::1");
        TcpStream::connect_timeout(&SocketAddr::from((VIP, 80)), PATIENCE).expect("a connection")
    });
    assert_eq!(
        asking.peer_addr().expect("connected").ip(),
        IpAddr::from(VIP)
    );
    let (mut answering, from) = listener.accept().expect("it was sent here");
    assert_eq!(
        from,
        asking.local_addr().expect("connected"),
        "the source stays"
    );
    answering.write_all(b"here").expect("it is open");
    let mut said = [0; 4];
    asking.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    asking.read_exact(&mut said).expect("an answer");
    assert_eq!(&said, b"here");
}
