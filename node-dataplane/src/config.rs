//! What a node data plane is told at start.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;
use meshlite_proto::{cache::Cache, connect::Security};

use crate::{Mode, Scheduler};

/// How a [`Node`](crate::Node) runs. [`Config::default`] holds the defaults that the fields name.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own, as it is for kube-proxy"
)]
pub struct Config {
    /// The name of this node's Node object; empty for the host's name.
    pub node_name: String,
    /// The control planes to follow, as URLs: `http://127.0.0.1:18000`.
    pub control_plane: Vec<String>,
    /// How control planes and this node prove who they are; not at all.
    pub security: Security,
    /// Where the last good snapshot survives a restart; nowhere.
    pub cache: Option<Cache>,
    /// What carries the traffic; the best that works here.
    pub mode: Mode,
    /// Print what would be programmed, in the style of `ipvsadm -Ln`; program nothing and take no port; no.
    pub dry_run: bool,
    /// Where metrics, `/proxyMode` and the tables are served; 127.0.0.1:10249.
    pub metrics_listen: Option<SocketAddr>,
    /// Where load balancers ask whether this node is healthy; 0.0.0.0:10256.
    pub health_listen: Option<SocketAddr>,
    /// Node ports are served on this host's addresses within these ranges; none for all addresses.
    pub node_port_addresses: Vec<IpNet>,
    /// Node ports are served on the addresses by which the Node object says that this node is reached, and within
    /// those ranges, if there are any; no.
    pub node_port_primary: bool,
    /// Where this process may not bind a port below 1024, it binds port + offset instead; no.
    pub low_port_offset: Option<u16>,
    /// Serve loopback addresses only, whatever the manifests ask for; no. Only user space can promise it.
    pub loopback_only: bool,
    /// How long a removed endpoint keeps its established connections at most; 15 min.
    pub drain_timeout: Duration,
    /// How long a UDP flow lives without a datagram; 30 s.
    pub udp_idle_timeout: Duration,
    /// How often what is programmed is compared with what should be, though nothing changed; 30 s.
    pub sync_period: Duration,
    /// How long changes wait for others after one was programmed; not at all.
    pub min_sync_period: Duration,
    /// The scheduler of Services that ask for none; rr.
    pub scheduler: Scheduler,
    /// IPVS: virtual servers at addresses in these ranges are left alone, whoever made them; none.
    pub exclude_cidrs: Vec<IpNet>,
    /// IPVS: how long an idle TCP connection is kept; the kernel's own.
    pub tcp_timeout: Option<Duration>,
    /// IPVS: how long a TCP connection is kept after its FIN; the kernel's own.
    pub tcp_fin_timeout: Option<Duration>,
    /// IPVS: how long a UDP flow is kept; the kernel's own.
    pub udp_timeout: Option<Duration>,
    /// How this host comes to accept packets for virtual addresses; [`VipBinding::Route`].
    pub vip_binding: VipBinding,
    /// Whether only the interface that has an address answers ARP for it, so that load balancers' addresses on
    /// `kube-ipvs0` are not announced; no.
    pub strict_arp: bool,
    /// Masquerade everything that goes to cluster IPs, from Pods too; no.
    pub masquerade_all: bool,
    /// Which clients are Pods: nothing else may use a cluster IP unmasqueraded; [`DetectLocal::Snapshot`].
    pub detect_local: DetectLocal,
    /// Set the sysctls that the mode needs; yes.
    pub sysctls: bool,
    /// The limits of the kernel's connection tracking, where sysctls are set.
    pub conntrack: Conntrack,
    /// Accept forwarded traffic of Services where another firewall drops what it does not know; no.
    pub open_forward: bool,
    /// Serve node ports on 127.0.0.1 and `::1` too, from user space; no.
    pub localhost_node_ports: bool,
    /// Connect to every TCP endpoint now and then, and give no new connections to those that do not answer; no.
    pub check_endpoints: bool,
}

/// How this host comes to accept packets for virtual addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VipBinding {
    /// Each is an address of `kube-ipvs0`, as kube-proxy has it: the kernel compares each new one with all that are there.
    Address,
    /// Each is a `local` route, which costs the kernel the same however many there are.
    #[default]
    Route,
}

/// A word that names no [`VipBinding`].
#[derive(Debug, thiserror::Error)]
#[error("unknown binding {0:?}; one of address, route")]
pub struct InvalidVipBinding(String);

/// Which clients are Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DetectLocal {
    /// Those in the Pod CIDRs of the cluster's nodes, as the control plane knows them.
    #[default]
    Snapshot,
    /// Those in these ranges.
    ClusterCidr(Vec<IpNet>),
    /// Those in the Pod CIDRs of this node.
    NodeCidr,
    /// Those whose packets come in by this bridge.
    Bridge(String),
    /// Those whose packets come in by an interface whose name starts so.
    InterfacePrefix(String),
}

/// The limits of the kernel's connection tracking. What is zero or none is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conntrack {
    /// Connections that may be tracked for each CPU; 32,768.
    pub max_per_core: u32,
    /// Connections that may be tracked at least; 131,072.
    pub min: u32,
    /// How long an established TCP connection is tracked without a packet; 24 h.
    pub tcp_established_timeout: Option<Duration>,
    /// How long a half-closed TCP connection is tracked; 1 h.
    pub tcp_close_wait_timeout: Option<Duration>,
    /// Track TCP segments that are out of window, instead of calling them invalid; no.
    pub tcp_be_liberal: bool,
    /// How long a UDP flow that was not answered is tracked; the kernel's own.
    pub udp_timeout: Option<Duration>,
    /// How long a UDP flow with answers is tracked; the kernel's own.
    pub udp_stream_timeout: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node_name: String::new(),
            control_plane: Vec::new(),
            security: Security::Plaintext,
            cache: None,
            mode: Mode::Auto,
            dry_run: false,
            metrics_listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 10249))),
            health_listen: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 10256))),
            node_port_addresses: Vec::new(),
            node_port_primary: false,
            low_port_offset: None,
            loopback_only: false,
            drain_timeout: Duration::from_mins(15),
            udp_idle_timeout: Duration::from_secs(30),
            sync_period: Duration::from_secs(30),
            min_sync_period: Duration::ZERO,
            scheduler: Scheduler::Rr,
            exclude_cidrs: Vec::new(),
            tcp_timeout: None,
            tcp_fin_timeout: None,
            udp_timeout: None,
            vip_binding: VipBinding::Route,
            strict_arp: false,
            masquerade_all: false,
            detect_local: DetectLocal::Snapshot,
            sysctls: true,
            conntrack: Conntrack::default(),
            open_forward: false,
            localhost_node_ports: false,
            check_endpoints: false,
        }
    }
}

// === impl VipBinding ===

impl VipBinding {
    /// The binding as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Route => "route",
        }
    }
}

impl fmt::Display for VipBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for VipBinding {
    type Err = InvalidVipBinding;

    fn from_str(text: &str) -> Result<Self, InvalidVipBinding> {
        [Self::Address, Self::Route]
            .into_iter()
            .find(|binding| binding.as_str() == text)
            .ok_or_else(|| InvalidVipBinding(text.to_owned()))
    }
}

// === impl DetectLocal ===

impl DetectLocal {
    /// kube-proxy's name for it: `detectLocalMode`.
    pub const fn mode(&self) -> &'static str {
        match self {
            Self::Snapshot | Self::ClusterCidr(_) => "ClusterCIDR",
            Self::NodeCidr => "NodeCIDR",
            Self::Bridge(_) => "BridgeInterface",
            Self::InterfacePrefix(_) => "InterfaceNamePrefix",
        }
    }
}

// === impl Conntrack ===

impl Default for Conntrack {
    fn default() -> Self {
        Self {
            max_per_core: 32 * 1024,
            min: 128 * 1024,
            tcp_established_timeout: Some(Duration::from_hours(24)),
            tcp_close_wait_timeout: Some(Duration::from_hours(1)),
            tcp_be_liberal: false,
            udp_timeout: None,
            udp_stream_timeout: None,
        }
    }
}
