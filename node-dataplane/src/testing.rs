//! Builders for tests: keys, virtual servers and tables in one line each.

pub(crate) mod world;

use std::{
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use meshlite_snapshot::{
    AddressFamily, Endpoint, EndpointGroup, EndpointPort, IpFamilyPolicy, Name, Protocol, Resource,
    Service, ServicePort, ServiceType, Snapshot, TargetPort, TrafficPolicy,
};
use socket2::{Domain, Socket, Type};

use crate::table::{
    Frontend, Key, Masquerade, Observed, ObservedServer, Origin, Owner, RealServer, Scheduler,
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

/// A place on a loopback address, with a port that is free there. What looked for it never listens, so that a process that
/// another test starts at this moment, which has all sockets until it runs its program, keeps nobody from it.
pub(crate) fn free_place(host: [u8; 4], protocol: Protocol) -> Key {
    let any = SocketAddr::from((host, 0));
    let free = match protocol {
        Protocol::Udp => UdpSocket::bind(any).unwrap().local_addr(),
        Protocol::Tcp | Protocol::Sctp => {
            let socket = Socket::new(Domain::for_address(any), Type::STREAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind(&any.into()).unwrap();
            TcpListener::from(socket).local_addr()
        }
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
        origin: origin("web"),
        settings: settings(),
        real_servers: real_servers
            .iter()
            .map(|(address, weight)| (address.parse().unwrap(), real(*weight)))
            .collect(),
    }
}

/// A real server elsewhere.
pub(crate) fn real(weight: u16) -> RealServer {
    RealServer {
        weight,
        is_local: false,
    }
}

/// The cluster IP of this Service.
pub(crate) fn origin(service: &str) -> Origin {
    Origin {
        service_port: ServicePortName {
            namespace: "default".into(),
            service: service.into(),
            port: "".into(),
        },
        kind: VipKind::ClusterIP,
    }
}

/// How a virtual server behaves without anything said.
fn settings() -> Settings {
    Settings {
        scheduler: Scheduler::Rr,
        persistence: None,
        source_ranges: Arc::default(),
        when_empty: WhenEmpty::Reject,
        masquerade: Masquerade::NotPods,
    }
}

/// A table without inside clients.
pub(crate) fn mk_table(servers: impl IntoIterator<Item = (Key, VirtualServer)>) -> Table {
    Table {
        virtual_servers: servers.into_iter().collect(),
        ..Table::default()
    }
}

/// The table as a kernel shows it that has just this, with these many connections to each real server.
pub(crate) fn observed(table: &Table, connections: u64) -> Observed {
    let server = |server: &VirtualServer| {
        let mut observed = ObservedServer::new(server);
        let each = server.real_servers.addresses();
        observed.connections = each.map(|address| (address, connections)).collect();
        observed
    };
    Observed {
        inside: Arc::clone(&table.inside),
        pods: table.pods.clone(),
        virtual_servers: table
            .virtual_servers
            .iter()
            .map(|(key, value)| (*key, server(value)))
            .collect(),
        is_carried_elsewhere: false,
    }
}

/// What was observed, as a table: without connections and what is not ours. A kernel need not know whose a virtual
/// server is; then it is default/web's.
pub(crate) fn as_table(observed: &Observed) -> Table {
    let ours = observed
        .virtual_servers
        .iter()
        .filter(|(_, found)| found.owner == Owner::Ours);
    Table {
        inside: Arc::clone(&observed.inside),
        pods: observed.pods.clone(),
        virtual_servers: ours
            .map(|(key, found)| {
                let server = VirtualServer {
                    origin: found.origin.clone().unwrap_or_else(|| origin("web")),
                    settings: found.settings.clone(),
                    real_servers: found.real_servers.clone(),
                };
                (*key, server)
            })
            .collect(),
    }
}

/// An address.
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A Service default/`name` with port 80 called http.
pub(crate) fn mk_service(name: &str, cluster_ip: &str) -> Service {
    Service {
        namespace: "default".into(),
        name: name.into(),
        uid: String::new(),
        kind: ServiceType::ClusterIP,
        l4: true,
        headless: false,
        cluster_ips: vec![ip(cluster_ip)],
        ip_families: vec![AddressFamily::Ipv4],
        ip_family_policy: IpFamilyPolicy::SingleStack,
        external_ips: vec![],
        load_balancer: vec![],
        load_balancer_ip: None,
        load_balancer_class: None,
        load_balancer_source_ranges: vec![],
        allocate_load_balancer_node_ports: true,
        ports: vec![ServicePort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: 80,
            target_port: TargetPort::Number(8080),
            node_port: None,
            app_protocol: None,
        }],
        session_affinity_seconds: None,
        internal_traffic_policy: TrafficPolicy::Cluster,
        external_traffic_policy: TrafficPolicy::Cluster,
        traffic_distribution: None,
        health_check_node_port: None,
        publish_not_ready_addresses: false,
        external_name: None,
        ipvs_scheduler: None,
        balance: None,
    }
}

/// Ready endpoints of `service` at port 8080 of these addresses, on these nodes.
pub(crate) fn mk_group(service: &str, endpoints: &[(&str, &str)]) -> EndpointGroup {
    EndpointGroup {
        namespace: "default".into(),
        service: service.into(),
        slice: "s1".into(),
        address_family: AddressFamily::of(ip(endpoints[0].0)),
        ports: vec![EndpointPort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: Some(8080),
            app_protocol: None,
        }],
        endpoints: endpoints
            .iter()
            .map(|(address, node)| Endpoint {
                address: ip(address),
                ready: true,
                serving: true,
                terminating: false,
                node: Some((*node).into()),
                zone: None,
                hostname: None,
                target: None,
                hint_zones: vec![],
                hint_nodes: vec![],
            })
            .collect(),
    }
}

/// A snapshot of just these.
pub(crate) fn mk_snapshot(services: Vec<Service>, groups: Vec<EndpointGroup>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for service in services {
        let name = Name::namespaced(&service.namespace, &service.name).unwrap();
        snapshot.insert(name, Resource::Service(Arc::new(service)));
    }
    for group in groups {
        let name = Name::part(&group.namespace, &group.service, &group.slice).unwrap();
        snapshot.insert(name, Resource::EndpointGroup(Arc::new(group)));
    }
    snapshot
}
