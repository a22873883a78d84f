//! Flags of a node: the names are kube-proxy's where it has them.

use std::path::PathBuf;

use clap::Args;

/// How a node serves. What is not given is as --config says, else as its help does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Node")]
pub(crate) struct NodeArgs {
    /// The configuration of kube-proxy: a file with a `KubeProxyConfiguration`, the kubeadm.yaml that contains one, or
    /// the `kube-proxy` `ConfigMap`. Flags override it; what of it does not apply is logged.
    #[arg(
        long,
        value_name = "FILE",
        hide_env_values = true,
        env = "MESHLITE_CONFIG"
    )]
    pub(crate) config: Option<PathBuf>,
    /// What carries the traffic: auto (the first of ipvs, nftables and userspace that works here), ipvs, nftables,
    /// userspace or memory (nothing). Default: auto.
    #[arg(
        long,
        value_name = "MODE",
        hide_env_values = true,
        env = "MESHLITE_MODE"
    )]
    pub(crate) mode: Option<String>,
    /// Node ports are served on this host's addresses in these ranges; `primary` is those that the Node object says.
    /// Default: all of them.
    #[arg(
        long,
        value_name = "CIDR,…",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_NODEPORT_ADDRESSES"
    )]
    pub(crate) nodeport_addresses: Vec<String>,
    /// Serve node ports on 127.0.0.1 and `::1` too, from user space.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_env_values = true,
        env = "MESHLITE_LOCALHOST_NODEPORTS"
    )]
    pub(crate) localhost_nodeports: Option<String>,
    /// Where metrics, /proxyMode, /configz, /healthz, /snapshot, /resources and /virtualservers are served. Empty for
    /// nowhere. Default: 127.0.0.1:10249.
    #[arg(
        long,
        value_name = "ADDR",
        hide_env_values = true,
        env = "MESHLITE_METRICS_BIND_ADDRESS"
    )]
    pub(crate) metrics_bind_address: Option<String>,
    /// Where load balancers ask whether this node is healthy. Empty for nowhere. Default: 0.0.0.0:10256.
    #[arg(
        long,
        value_name = "ADDR",
        hide_env_values = true,
        env = "MESHLITE_HEALTHZ_BIND_ADDRESS"
    )]
    pub(crate) healthz_bind_address: Option<String>,
    /// Masquerade everything that goes to cluster IPs, from Pods too.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_env_values = true,
        env = "MESHLITE_MASQUERADE_ALL"
    )]
    pub(crate) masquerade_all: Option<String>,
    /// How Pods are told from other clients, whose connections to cluster IPs are masqueraded: `ClusterCIDR`, `NodeCIDR`,
    /// `BridgeInterface` or `InterfaceNamePrefix`. Default: by the Pod CIDRs of all nodes.
    #[arg(
        long,
        value_name = "MODE",
        hide_env_values = true,
        env = "MESHLITE_DETECT_LOCAL_MODE"
    )]
    pub(crate) detect_local_mode: Option<String>,
    /// With `ClusterCIDR`, which it implies: the addresses of Pods; one range, or one for IPv4 and one for IPv6.
    #[arg(
        long,
        value_name = "CIDR[,CIDR]",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_CLUSTER_CIDR"
    )]
    pub(crate) cluster_cidr: Vec<String>,
    /// With `BridgeInterface`: the bridge that Pods are on.
    #[arg(
        long,
        value_name = "NAME",
        hide_env_values = true,
        env = "MESHLITE_POD_BRIDGE_INTERFACE"
    )]
    pub(crate) pod_bridge_interface: Option<String>,
    /// With `InterfaceNamePrefix`: how the names of Pods' interfaces start.
    #[arg(
        long,
        value_name = "PREFIX",
        hide_env_values = true,
        env = "MESHLITE_POD_INTERFACE_NAME_PREFIX"
    )]
    pub(crate) pod_interface_name_prefix: Option<String>,
    /// How often what is programmed is compared with what should be, though nothing changed. Default: 30s.
    #[arg(
        long,
        value_name = "DURATION",
        hide_env_values = true,
        env = "MESHLITE_SYNC_PERIOD"
    )]
    pub(crate) sync_period: Option<String>,
    /// How long changes wait for others after one was programmed. Default: 0s, not at all.
    #[arg(
        long,
        value_name = "DURATION",
        hide_env_values = true,
        env = "MESHLITE_MIN_SYNC_PERIOD"
    )]
    pub(crate) min_sync_period: Option<String>,
    /// Leave the kernel's sysctls as they are. `meshlite node init` says which are needed.
    #[arg(long, hide_env_values = true, env = "MESHLITE_NO_SYSCTLS")]
    pub(crate) no_sysctls: bool,
    /// Accept forwarded traffic of Services where another firewall drops what it does not know, as Docker's does.
    #[arg(long, hide_env_values = true, env = "MESHLITE_OPEN_FORWARD")]
    pub(crate) open_forward: bool,
    /// Connect to the TCP endpoints on this node now and then; those that refuse get no new connections.
    #[arg(long, hide_env_values = true, env = "MESHLITE_CHECK_ENDPOINTS")]
    pub(crate) check_endpoints: bool,
    #[command(flatten)]
    pub(crate) ipvs: IpvsArgs,
}

/// What `meshlite node init` sets up.
#[derive(Debug, Args)]
pub(crate) struct NodeInitArgs {
    /// In a container: where the root of the host's file system is mounted. Its own modprobe loads the modules.
    #[arg(
        long,
        value_name = "DIR",
        hide_env_values = true,
        env = "MESHLITE_HOST_ROOT"
    )]
    pub(crate) host_root: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// How IPVS serves.
#[derive(Debug, Args)]
#[command(next_help_heading = "IPVS")]
pub(crate) struct IpvsArgs {
    /// The scheduler of Services that ask for none: rr, wrr, lc, wlc, sh, dh, sed, nq, mh, fo, ovf, lblc or lblcr.
    /// Default: rr.
    #[arg(
        long,
        value_name = "SCHEDULER",
        hide_env_values = true,
        env = "MESHLITE_IPVS_SCHEDULER"
    )]
    pub(crate) ipvs_scheduler: Option<String>,
    /// Only the interface that has an address answers ARP for it: load balancers that announce addresses themselves need
    /// it.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_env_values = true,
        env = "MESHLITE_IPVS_STRICT_ARP"
    )]
    pub(crate) ipvs_strict_arp: Option<String>,
    /// Virtual servers at addresses in these ranges are left alone, whoever made them.
    #[arg(
        long,
        value_name = "CIDR,…",
        value_delimiter = ',',
        hide_env_values = true,
        env = "MESHLITE_IPVS_EXCLUDE_CIDRS"
    )]
    pub(crate) ipvs_exclude_cidrs: Vec<String>,
    /// How long an idle TCP connection is kept. Default: 0s, the kernel's own.
    #[arg(
        long,
        value_name = "DURATION",
        hide_env_values = true,
        env = "MESHLITE_IPVS_TCP_TIMEOUT"
    )]
    pub(crate) ipvs_tcp_timeout: Option<String>,
    /// How long a TCP connection is kept after its FIN. Default: 0s, the kernel's own.
    #[arg(
        long,
        value_name = "DURATION",
        hide_env_values = true,
        env = "MESHLITE_IPVS_TCPFIN_TIMEOUT"
    )]
    pub(crate) ipvs_tcpfin_timeout: Option<String>,
    /// How long a UDP flow is kept. Default: 0s, the kernel's own.
    #[arg(
        long,
        value_name = "DURATION",
        hide_env_values = true,
        env = "MESHLITE_IPVS_UDP_TIMEOUT"
    )]
    pub(crate) ipvs_udp_timeout: Option<String>,
    /// How this host comes to accept packets for virtual addresses: route (each is a local route) or address (each is on
    /// kube-ipvs0, as kube-proxy has it: slow with thousands of Services). Default: route.
    #[arg(
        long,
        value_name = "BINDING",
        hide_env_values = true,
        env = "MESHLITE_VIP_BINDING"
    )]
    pub(crate) vip_binding: Option<String>,
}
