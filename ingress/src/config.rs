//! What an ingress is told at start.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use meshlite_proto::{cache::Cache, connect::Security};

use crate::{AccessLogFormat, Tracing};

/// How an [`Ingress`](crate::Ingress) runs. [`Config::default`] holds the defaults that the fields name.
#[derive(Clone, Debug)]
pub struct Config {
    /// The control planes to follow, as URLs: `http://127.0.0.1:18000`.
    pub control_plane: Vec<String>,
    /// How control planes and this ingress prove who they are; not at all.
    pub security: Security,
    /// Where the last good snapshot survives a restart, and in memory its private keys; nowhere.
    pub cache: Option<Cache>,
    /// The name of this node, shown by the control plane; empty for none.
    pub node_name: String,
    /// The address that listeners' proxy ports are bound on; all IPv4 addresses.
    pub address: IpAddr,
    /// The Unix socket by which the ingress that comes takes over from the one that runs; none.
    pub takeover: Option<PathBuf>,
    /// Where health, readiness, metrics and tables are served; nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// Threads that serve requests, each with its own sockets and upstream connections; none for one per core.
    pub workers: Option<NonZeroUsize>,
    /// Clients whose `X-Forwarded-*` headers are believed; nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// Every connection begins with a PROXY protocol header (version 1 or 2) that says whose it is; it does not.
    pub proxy_protocol: bool,
    /// A line on standard output for each request; nothing.
    pub access_log: Option<AccessLogFormat>,
    /// Where requests are traced to; nowhere.
    pub tracing: Option<Tracing>,
    /// The most bytes of a request's body, where its route does not say; any.
    pub max_body_bytes: Option<u64>,
    /// The most connections that one client address may have open at once; 16,384.
    pub max_client_connections: u32,
    /// How long a client may take none of what it is sent; 60 s.
    pub send_timeout: Duration,
    /// How long a request's head, and an idle connection, may take; 60 s.
    pub header_timeout: Duration,
    /// How long a TLS handshake may take; 10 s.
    pub handshake_timeout: Duration,
    /// How long connecting to one endpoint may take; 5 s.
    pub connect_timeout: Duration,
    /// How long an upstream may take from the request's head to the response's, where its route does not say; 60 s.
    pub response_timeout: Duration,
    /// How long an unused upstream connection is kept; 4 s, which is less than what common servers keep theirs.
    pub upstream_idle_timeout: Duration,
    /// How long requests that are under way get when the ingress stops; 30 s.
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            control_plane: Vec::new(),
            security: Security::Plaintext,
            cache: None,
            node_name: String::new(),
            address: Ipv4Addr::UNSPECIFIED.into(),
            takeover: None,
            admin_listen: None,
            workers: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            access_log: None,
            tracing: None,
            max_body_bytes: None,
            max_client_connections: 16 * 1024,
            send_timeout: Duration::from_mins(1),
            header_timeout: Duration::from_mins(1),
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_mins(1),
            upstream_idle_timeout: Duration::from_secs(4),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
