//! What `/virtualservers` of a node answers, as far as sets follow from it.

use std::net::SocketAddr;

use serde::Deserialize;

/// Everything that is programmed or should be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table {
    pub(super) virtual_servers: Vec<Server>,
}

/// One virtual server, for one audience.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) kind: Kind,
    pub(super) programmed: bool,
    pub(super) source_ranges: Vec<String>,
    pub(super) masquerade: Masquerade,
    pub(super) real_servers: Vec<RealServer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RealServer {
    pub(super) address: SocketAddr,
    pub(super) is_local: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Kind {
    ClusterIP,
    NodePort,
    LoadBalancer,
    ExternalIP,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Masquerade {
    Never,
    NotPods,
    Always,
}

// === impl Server ===

impl Server {
    /// Clients from outside reach endpoints on this node only, and are not masqueraded.
    pub(super) fn is_local(&self) -> bool {
        self.masquerade == Masquerade::Never
    }

    pub(super) fn is_balancer(&self) -> bool {
        self.kind == Kind::LoadBalancer
    }

    pub(super) fn is_node_port(&self, protocol: Protocol) -> bool {
        self.kind == Kind::NodePort && self.protocol == protocol
    }

    /// `30080`, or nothing.
    pub(super) fn port_if(&self, is_member: bool) -> Vec<String> {
        let port = || self.address.port().to_string();
        is_member.then(port).into_iter().collect()
    }

    /// `10.96.0.10,udp:53`, or nothing.
    pub(super) fn address_if(&self, is_member: bool) -> Vec<String> {
        let place = || self.place(self.address);
        is_member.then(place).into_iter().collect()
    }

    /// `10.244.0.7,tcp:8080,10.244.0.7` for each endpoint on this node.
    pub(super) fn hairpins(&self) -> Vec<String> {
        let local = self.real_servers.iter().filter(|real| real.is_local);
        let pair =
            |real: &RealServer| format!("{},{}", self.place(real.address), real.address.ip());
        local.map(pair).collect()
    }

    /// `192.0.2.1,tcp:80,10.0.0.0/8` for each range of clients.
    pub(super) fn ranges(&self) -> Vec<String> {
        let place = self.place(self.address);
        let ranges = self.source_ranges.iter();
        ranges.map(|range| format!("{place},{range}")).collect()
    }

    fn place(&self, address: SocketAddr) -> String {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        format!("{},{protocol}:{}", address.ip(), address.port())
    }
}
