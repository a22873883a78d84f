//! Builders for tests: keys, virtual servers and tables in one line each.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use meshlite_snapshot::Protocol;

use crate::table::{
    Frontend, Key, Observed, ObservedRealServer, ObservedServer, Origin, Owner, Scheduler,
    ServicePortName, Settings, Table, VipKind, VirtualAddress, VirtualServer, WhenEmpty,
};

/// A loopback address that no other test uses, nor another run of them, so that its ports are free until it binds them.
pub(crate) fn own_loopback() -> [u8; 4] {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let run = std::process::id().to_be_bytes();
    [
        127,
        128 | run[2],
        run[3],
        NEXT.fetch_add(1, Ordering::Relaxed),
    ]
}

/// A place on a loopback address, with a port that is free there.
pub(crate) fn free_place(host: [u8; 4], protocol: Protocol) -> Key {
    let any = SocketAddr::from((host, 0));
    let free = match protocol {
        Protocol::Udp => UdpSocket::bind(any).unwrap().local_addr(),
        Protocol::Tcp | Protocol::Sctp => TcpListener::bind(any).unwrap().local_addr(),
    };
    Key::everyone(Frontend {
        address: VirtualAddress::Ip(any.ip()),
        port: free.unwrap().port(),
        protocol,
    })
}

/// `TCP 10.96.0.1:80`, for everyone.
pub(crate) fn key(text: &str) -> Key {
    let (protocol, address) = text.split_once(' ').unwrap();
    let address: SocketAddr = address.parse().unwrap();
    Key::everyone(Frontend {
        address: VirtualAddress::Ip(address.ip()),
        port: address.port(),
        protocol: match protocol {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            _ => Protocol::Sctp,
        },
    })
}

/// A virtual server of default/web.
pub(crate) fn server(real_servers: &[(&str, u16)]) -> VirtualServer {
    VirtualServer {
        settings: settings("web"),
        real_servers: real_servers
            .iter()
            .map(|(address, weight)| (address.parse().unwrap(), *weight))
            .collect(),
    }
}

/// What a virtual server of this Service is without anything said.
pub(crate) fn settings(service: &str) -> Settings {
    Settings {
        scheduler: Scheduler::Rr,
        persistence: None,
        source_ranges: Arc::default(),
        when_empty: WhenEmpty::Reject,
        origin: Origin {
            service_port: ServicePortName {
                namespace: "default".into(),
                service: service.into(),
                port: "".into(),
            },
            kind: VipKind::ClusterIP,
        },
    }
}

/// A table without inside clients.
pub(crate) fn mk_table(servers: impl IntoIterator<Item = (Key, VirtualServer)>) -> Table {
    Table {
        inside: Arc::default(),
        virtual_servers: servers.into_iter().collect(),
    }
}

/// The table as a kernel shows it that has just this, with these many connections to each real server.
pub(crate) fn observed(table: &Table, connections: u64) -> Observed {
    let server = |server: &VirtualServer| ObservedServer {
        owner: Owner::Ours,
        settings: server.settings.clone(),
        real_servers: server
            .real_servers
            .iter()
            .map(|(address, weight)| {
                let weight = *weight;
                (
                    *address,
                    ObservedRealServer {
                        weight,
                        connections,
                    },
                )
            })
            .collect(),
        bound: None,
    };
    Observed {
        inside: Arc::clone(&table.inside),
        virtual_servers: table
            .virtual_servers
            .iter()
            .map(|(key, value)| (*key, server(value)))
            .collect(),
    }
}

/// What was observed, as a table: without connections and what is not ours.
pub(crate) fn as_table(observed: &Observed) -> Table {
    let ours = observed
        .virtual_servers
        .iter()
        .filter(|(_, found)| found.owner == Owner::Ours);
    Table {
        inside: Arc::clone(&observed.inside),
        virtual_servers: ours
            .map(|(key, found)| {
                let real_servers: BTreeMap<_, _> = found
                    .real_servers
                    .iter()
                    .map(|(address, real)| (*address, real.weight))
                    .collect();
                let settings = found.settings.clone();
                (
                    *key,
                    VirtualServer {
                        settings,
                        real_servers,
                    },
                )
            })
            .collect(),
    }
}
