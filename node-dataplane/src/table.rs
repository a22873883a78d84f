//! The table of virtual servers: as it should be, and as it was found.

mod real_servers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use meshlite_snapshot::{AddressFamily, Protocol};
use serde::Serialize;

pub(crate) use self::real_servers::RealServers;
pub(crate) use crate::scheduler::Scheduler;

/// What should be programmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Clients for whom [`Audience::Inside`] servers are: this node, and Pods.
    pub(crate) inside: Arc<BTreeSet<IpNet>>,
    /// Which of those are Pods: what [`Masquerade::NotPods`] spares.
    pub(crate) pods: LocalDetector,
    /// Virtual servers by key.
    pub(crate) virtual_servers: BTreeMap<Key, VirtualServer>,
}

/// What counts as a Pod: `detectLocalMode` of a `KubeProxyConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum LocalDetector {
    /// Nothing says: no client is taken for a Pod.
    #[default]
    None,
    /// Clients within these networks, on any node. They are inside too.
    Cidrs(Arc<BTreeSet<IpNet>>),
    /// Clients that come in from this bridge. They are inside too, whatever their address.
    Interface(Arc<str>),
    /// Clients that come in from an interface whose name starts like this. They are inside too.
    InterfacePrefix(Arc<str>),
}

/// What tells one virtual server from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Where clients connect.
    pub(crate) frontend: Frontend,
    /// Which clients.
    pub(crate) audience: Audience,
}

/// Where clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Frontend {
    /// The destination address.
    pub(crate) address: VirtualAddress,
    /// The destination port.
    pub(crate) port: u16,
    /// Transport protocol.
    pub(crate) protocol: Protocol,
}

/// A destination address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum VirtualAddress {
    /// This one.
    Ip(IpAddr),
    /// Any address of this node.
    EveryNodeAddress(AddressFamily),
}

/// Which clients a virtual server is for.
///
/// With `externalTrafficPolicy: Local`, clients from outside may use local endpoints only, while this node and Pods
/// may use all of them at the same address. Where both exist, the narrower one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Audience {
    /// All clients for whom there is no other virtual server at the same place.
    Everyone,
    /// This node and Pods: [`Table::inside`].
    Inside,
}

/// One virtual server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VirtualServer {
    /// Whose it is. Persistence is shared by all virtual servers of one Service port. A kernel may have forgotten it,
    /// which alone calls for no step.
    pub(crate) origin: Origin,
    /// How it behaves.
    pub(crate) settings: Settings,
    /// Where its connections go.
    pub(crate) real_servers: RealServers,
}

/// Where connections go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RealServer {
    /// Its share of new connections. With weight 0 it gets none and keeps those that it has.
    pub(crate) weight: u16,
    /// It is an endpoint on this node, which may be its own client: then the source has to be masqueraded.
    pub(crate) is_local: bool,
}

/// How a virtual server behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// How a real server is chosen.
    pub(crate) scheduler: Scheduler,
    /// Clients stay with a real server for this long after they were last seen, in seconds.
    pub(crate) persistence: Option<u32>,
    /// Clients that may connect; empty for all.
    pub(crate) source_ranges: Arc<BTreeSet<IpNet>>,
    /// What clients get while there is no real server to use.
    pub(crate) when_empty: WhenEmpty,
    /// Whose source address is replaced by this node's. The kernel adds to it who would otherwise get no answer: a
    /// real server that is its own client.
    pub(crate) masquerade: Masquerade,
}

/// Whose source address is replaced by this node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Masquerade {
    /// Nobody's: real servers see who connects. It is for clients outside: where a virtual server for everyone has it,
    /// and nowhere else, those inside have one of their own.
    Never,
    /// Everybody's but that of Pods, which is routed back through here; nobody's where [`LocalDetector::None`] cannot
    /// tell who is a Pod.
    NotPods,
    /// Everybody's.
    Always,
}

/// What clients get while a virtual server has no real server to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum WhenEmpty {
    /// There are no endpoints: a refusal.
    Reject,
    /// There are endpoints, but a traffic policy keeps traffic from them: silence, where the kernel can be silent.
    Drop,
}

/// Whose a virtual server is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Origin {
    /// The Service port.
    #[serde(flatten)]
    pub(crate) service_port: ServicePortName,
    /// Which of the Service's addresses.
    pub(crate) kind: VipKind,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct ServicePortName {
    /// The Service's namespace.
    pub(crate) namespace: Arc<str>,
    /// The Service's name.
    pub(crate) service: Arc<str>,
    /// The port's name; empty for an unnamed one.
    #[serde(rename = "portName")]
    pub(crate) port: Arc<str>,
}

/// Which of a Service's addresses. In the order of precedence: nobody may take over a cluster IP by asking for it as
/// an external one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum VipKind {
    ClusterIP,
    NodePort,
    LoadBalancer,
    ExternalIP,
}

/// What was found in a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// As [`Table::inside`].
    pub(crate) inside: Arc<BTreeSet<IpNet>>,
    /// As [`Table::pods`].
    pub(crate) pods: LocalDetector,
    /// Virtual servers by key, also those of others.
    pub(crate) virtual_servers: BTreeMap<Key, ObservedServer>,
    /// Another backend carries the traffic until the next steps take it over: so these have to be all there are.
    pub(crate) is_carried_elsewhere: bool,
}

/// A virtual server as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObservedServer {
    /// Who programmed it.
    pub(crate) owner: Owner,
    /// Whose it is, where that is remembered.
    pub(crate) origin: Option<Origin>,
    /// How it behaves.
    pub(crate) settings: Settings,
    /// Its real servers.
    pub(crate) real_servers: RealServers,
    /// Established connections, or live UDP flows, of real servers as they were last counted; who is not named has none.
    pub(crate) connections: BTreeMap<SocketAddr, u64>,
    /// Where it listens, for a kernel that binds sockets.
    pub(crate) bound: Option<SocketAddr>,
}

/// Who programmed a virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Meshlite.
    Ours,
    /// Somebody else: it is never touched.
    Foreign,
}

// === impl Key ===

impl Key {
    /// The virtual server for all clients.
    pub(crate) const fn everyone(frontend: Frontend) -> Self {
        Self {
            frontend,
            audience: Audience::Everyone,
        }
    }

    /// The virtual server for this node and Pods.
    pub(crate) const fn inside(frontend: Frontend) -> Self {
        Self {
            frontend,
            audience: Audience::Inside,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.frontend)?;
        match self.audience {
            Audience::Everyone => Ok(()),
            Audience::Inside => f.write_str(" (inside)"),
        }
    }
}

// === impl Frontend ===

impl Frontend {
    /// The socket address that a kernel with sockets binds.
    pub(crate) fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), self.port)
    }
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.socket_address())
    }
}

// === impl VirtualAddress ===

impl VirtualAddress {
    /// The address; the unspecified one for every node address.
    pub(crate) const fn ip(self) -> IpAddr {
        match self {
            Self::Ip(ip) => ip,
            Self::EveryNodeAddress(AddressFamily::Ipv4) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::EveryNodeAddress(AddressFamily::Ipv6) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

// === impl ObservedServer ===

impl ObservedServer {
    /// One of ours as it is right after it was programmed.
    pub(crate) fn new(server: &VirtualServer) -> Self {
        Self {
            owner: Owner::Ours,
            origin: Some(server.origin.clone()),
            settings: server.settings.clone(),
            real_servers: server.real_servers.clone(),
            connections: BTreeMap::new(),
            bound: None,
        }
    }

    /// Connections of a real server, as far as they were counted.
    pub(crate) fn connections(&self, of: SocketAddr) -> u64 {
        self.connections.get(&of).copied().unwrap_or(0)
    }
}

// === impl VipKind ===

impl VipKind {
    /// The Service's field that the address comes from.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::ClusterIP => "spec.clusterIPs",
            Self::NodePort => "spec.ports[].nodePort",
            Self::LoadBalancer => "status.loadBalancer.ingress",
            Self::ExternalIP => "spec.externalIPs",
        }
    }
}

// === impl ServicePortName ===

impl fmt::Display for ServicePortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.service)?;
        if self.port.is_empty() {
            return Ok(());
        }
        write!(f, ":{}", self.port)
    }
}
