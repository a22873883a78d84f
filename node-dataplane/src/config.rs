//! What a node data plane is told at start.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use meshlite_proto::{cache::Cache, connect::Security};

use crate::Mode;

/// How a [`Node`](crate::Node) runs. [`Config::default`] holds the defaults that the fields name.
#[derive(Clone, Debug)]
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
            low_port_offset: None,
            loopback_only: false,
            drain_timeout: Duration::from_mins(15),
            udp_idle_timeout: Duration::from_secs(30),
            sync_period: Duration::from_secs(30),
        }
    }
}
