//! Where the demo listens: loopback addresses and ports that nobody else has.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

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

/// Whether ports are those of the documentation or the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ports {
    Documented,
    Free,
}

/// The port on which a range is claimed.
const CLAIM_PORT: u16 = 18_000;

/// Where in the range of Pods the node is, counted from the end, if it is not 127.0.0.1.
const NODE_FROM_END: u32 = 2;

// === impl Layout ===

impl Layout {
    /// Finds free ranges and ports. A documented port that is taken is replaced by a free one, with a note.
    pub(crate) fn choose(ports: Ports) -> anyhow::Result<Self> {
        let (services, pods, claim) = claim()?;
        let mut notes = Vec::new();
        if services.network() != Ipv4Addr::new(127, 96, 0, 0) {
            notes.push(format!(
                "127.96.0.0/15 is in use by another demo; this one has {services} and {pods}"
            ));
        }
        // Held until all are chosen, so that the system does not give one twice.
        let mut held = Vec::new();
        let mut choose = |what: &str, documented: u16| -> anyhow::Result<SocketAddr> {
            let (listener, note) = match ports {
                Ports::Free => (bind(0)?, None),
                Ports::Documented => match bind(documented) {
                    Ok(listener) => (listener, None),
                    Err(error) => {
                        let listener = bind(0)?;
                        let port = listener.local_addr()?.port();
                        let note = format!(
                            "port {documented} for {what} is not free ({error}); {port} is used instead"
                        );
                        (listener, Some(note))
                    }
                },
            };
            notes.extend(note);
            let addr = listener.local_addr()?;
            held.push(listener);
            Ok(addr)
        };
        Ok(Self {
            services,
            pods,
            grpc: choose("gRPC", 18_000)?,
            control_plane_admin: choose("the control plane's admin server", 18_001)?,
            node_metrics: choose("the node's metrics", 10_249)?,
            node_health: choose("the node's health", 10_256)?,
            http: choose("HTTP", 8080)?,
            https: choose("HTTPS", 8443)?,
            ingress_admin: choose("the ingress's admin server", 10_254)?,
            node: match ports {
                Ports::Documented => Ipv4Addr::LOCALHOST,
                Ports::Free => Ipv4Addr::from(u32::from(pods.broadcast()) - NODE_FROM_END),
            },
            notes,
            _claim: claim,
        })
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_demos_share_nothing() {
        let (one, two) = (
            Layout::choose(Ports::Free).unwrap(),
            Layout::choose(Ports::Free).unwrap(),
        );
        assert_ne!(one.services, two.services);
        assert_ne!(one.pods, two.pods);
        assert!(
            two.notes
                .iter()
                .any(|note| note.contains("in use by another demo")),
            "{:?}",
            two.notes
        );
        let ports: BTreeSet<_> = [
            one.grpc,
            one.control_plane_admin,
            one.node_metrics,
            one.node_health,
        ]
        .into_iter()
        .chain([one.http, one.https, one.ingress_admin])
        .collect();
        assert_eq!(ports.len(), 7);
    }

    #[test]
    fn a_documented_port_that_is_taken_is_replaced_and_said() {
        // Another process may have the port as well; then it is just as taken.
        let _holder = bind(10_254);
        let layout = Layout::choose(Ports::Documented).unwrap();
        assert_ne!(layout.ingress_admin.port(), 10_254);
        let said = layout
            .notes
            .iter()
            .any(|note| note.starts_with("port 10254 for the ingress's admin server is not free"));
        assert!(said, "{:?}", layout.notes);
    }
}
