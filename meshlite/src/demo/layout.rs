//! Where the demo listens: loopback addresses and ports that nobody else has.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context;
use ipnet::Ipv4Net;

/// Two free ranges of 127.0.0.0/8, and a port for each server.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Cluster IPs.
    pub(crate) services: Ipv4Net,
    /// Pods.
    pub(crate) pods: Ipv4Net,
    /// The node's own address, where node ports are.
    pub(crate) node: Ipv4Addr,
    pub(crate) grpc: SocketAddr,
    pub(crate) control_plane_admin: SocketAddr,
    pub(crate) node_metrics: SocketAddr,
    pub(crate) node_health: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) ingress_admin: SocketAddr,
    /// What is not where the documentation says, and why.
    pub(crate) notes: Vec<String>,
    /// Tells other demos that the ranges are taken.
    _claim: TcpListener,
}

/// Where servers listen, as the documentation says or out of everybody's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// On 127.0.0.1, where that is free.
    Documented,
    /// On an address that nobody else has.
    Apart,
}

/// The port on which a range is claimed.
const CLAIM_PORT: u16 = 18_000;

/// Where in the range of Pods the node is, counted from the end, if it is not 127.0.0.1.
const NODE_FROM_END: u32 = 2;

// === impl Layout ===

impl Layout {
    /// Finds free ranges and addresses. Where a documented one is taken, there is a note.
    pub(crate) fn choose(servers: Servers) -> anyhow::Result<Self> {
        let (services, pods, claim) = claim()?;
        let is_first = services.network() == Ipv4Addr::new(127, 96, 0, 0);
        let mut notes = Vec::new();
        if !is_first {
            notes.push(format!(
                "127.96.0.0/15 is in use by another demo; this one has {services} and {pods}"
            ));
        }
        // The range was claimed, so that this address has every port free.
        let apart = Ipv4Addr::from(u32::from(pods.broadcast()) - NODE_FROM_END);
        let mut choose = |what: &str, ports: &[u16]| {
            let taken = ports.iter().find_map(|port| {
                let error = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).err()?;
                Some((port, error))
            });
            match (servers, taken) {
                (Servers::Documented, None) => Ipv4Addr::LOCALHOST,
                (Servers::Documented, Some((port, error))) => {
                    notes.push(format!(
                        "127.0.0.1:{port} is not free ({error}): {what} moved to {apart}"
                    ));
                    apart
                }
                (Servers::Apart, _) => apart,
            }
        };
        let grpc = choose("gRPC", &[18_000]);
        let control_plane_admin = choose("the admin server of the control plane", &[18_001]);
        let node_metrics = choose("the metrics of the node", &[10_249]);
        let node_health = choose("the health of the node", &[10_256]);
        // One address for both.
        let ingress = choose("the ingress", &[8080, 8443]);
        let ingress_admin = choose("the admin server of the ingress", &[10_254]);
        Ok(Self {
            services,
            pods,
            node: match servers {
                Servers::Documented if is_first => Ipv4Addr::LOCALHOST,
                Servers::Documented | Servers::Apart => apart,
            },
            grpc: (grpc, 18_000).into(),
            control_plane_admin: (control_plane_admin, 18_001).into(),
            node_metrics: (node_metrics, 10_249).into(),
            node_health: (node_health, 10_256).into(),
            http: (ingress, 8080).into(),
            https: (ingress, 8443).into(),
            ingress_admin: (ingress_admin, 10_254).into(),
            notes,
            _claim: claim,
        })
    }
}

/// Two ranges of 127.0.0.0/8 that no other demo has: Services, Pods.
fn claim() -> anyhow::Result<(Ipv4Net, Ipv4Net, TcpListener)> {
    let claims = (96..=254).step_by(2).find_map(|second: u8| {
        let marker = Ipv4Addr::new(127, second + 1, 255, 254);
        let claim = TcpListener::bind((marker, CLAIM_PORT)).ok()?;
        let range = |second| Ipv4Net::new(Ipv4Addr::new(127, second, 0, 0), 16).ok();
        Some((range(second)?, range(second + 1)?, claim))
    });
    claims.context(
        "no address of 127.0.0.0/8 but 127.0.0.1 can be bound here, or all are taken by other demos; Linux allows it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_demos_share_nothing() {
        let choose = || Layout::choose(Servers::Apart).unwrap();
        let (one, two) = (choose(), choose());
        assert_ne!(one.services, two.services);
        assert_ne!(one.pods, two.pods);
        assert_ne!(one.grpc, two.grpc);
        assert_ne!(one.node, two.node);
        // Whichever came second to the first range: a demo elsewhere may have left it in between.
        let notes = [one.notes, two.notes].concat();
        let said = notes
            .iter()
            .any(|note| note.contains("in use by another demo"));
        assert!(said, "{notes:?}");
    }

    #[test]
    fn a_documented_port_that_is_taken_moves_its_server_and_is_said() {
        // Another process may have the port as well; then it is just as taken.
        let _holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 8443));
        let layout = Layout::choose(Servers::Documented).unwrap();
        assert_eq!(
            layout.http.ip(),
            layout.https.ip(),
            "both ports of the ingress move"
        );
        assert_ne!(layout.http.ip(), Ipv4Addr::LOCALHOST);
        assert_eq!(layout.http.port(), 8080);
        let said = layout
            .notes
            .iter()
            .any(|note| note.contains("the ingress moved to 127."));
        assert!(said, "{:?}", layout.notes);
    }
}
