//! Who listens where Meshlite would, or where Services' node ports are.

use std::{net::SocketAddr, ops::RangeInclusive};

use meshlite_snapshot::Protocol;

use super::{
    Finding,
    facts::{Facts, Socket},
};
use crate::Config;

/// Where control planes listen, on the nodes that have one: gRPC and admin.
const CONTROL_PLANE: [u16; 2] = [18000, 18001];
/// Where the ingress is reached on every node that lets Services have these node ports, or by a port of the host.
const INGRESS: [u16; 2] = [80, 443];
/// The name of our processes.
const OURS: &str = "meshlite";

/// Whether anybody at a TCP port matters, whatever node ports there are.
pub(super) fn is_of_interest(config: &Config, port: u16) -> bool {
    let own = own(config).into_iter();
    own.map(|(address, _)| address.port())
        .chain(CONTROL_PLANE)
        .chain(INGRESS)
        .any(|known| known == port)
}

/// Where a node listens, and the flag that says so.
fn own(config: &Config) -> Vec<(SocketAddr, &'static str)> {
    let metrics = config
        .metrics_listen
        .map(|it| (it, "--metrics-bind-address"));
    let health = config
        .health_listen
        .map(|it| (it, "--healthz-bind-address"));
    metrics.into_iter().chain(health).collect()
}

pub(super) fn findings(
    facts: &Facts,
    config: &Config,
    node_ports: &RangeInclusive<u16>,
) -> Vec<Finding> {
    let sockets = match &facts.sockets {
        Err(error) => return vec![Finding::unread("ports", error)],
        Ok(sockets) => sockets,
    };
    let own = own(config);
    let mut findings: Vec<_> = own
        .iter()
        .map(|(address, flag)| own_port(*address, flag, sockets))
        .collect();
    let is_own = |socket: &&Socket| {
        let port = socket.listener.address.port();
        own.iter().any(|(address, _)| address.port() == port)
    };
    let others = sockets.iter().filter(|it| !is_own(it) && !it.is_ours());
    let mut taken: Vec<_> = others.filter_map(|it| other_port(it, node_ports)).collect();
    if taken.is_empty() {
        let (first, last) = node_ports.clone().into_inner();
        taken.push(Finding::ok(
            "ports",
            format!("nobody listens at node ports ({first}-{last}), nor at 80 and 443"),
        ));
    }
    findings.extend(taken);
    findings
}

fn own_port(wanted: SocketAddr, flag: &str, sockets: &[Socket]) -> Finding {
    let check = format!("port {}/TCP", wanted.port());
    let in_the_way = |socket: &&Socket| {
        let there = socket.listener.address;
        let any = there.ip().is_unspecified() || wanted.ip().is_unspecified();
        socket.listener.protocol == Protocol::Tcp
            && there.port() == wanted.port()
            && (any || there.ip() == wanted.ip())
    };
    let Some(socket) = sockets.iter().find(in_the_way) else {
        return Finding::ok(check, format!("{wanted} is free"));
    };
    let found = socket.to_string();
    if socket.is_ours() {
        return Finding::ok(check, found);
    }
    let todo = match &socket.holder {
        Some(holder) if holder.name == "kube-proxy" => {
            "it is free once kube-proxy is gone from this node".to_owned()
        }
        _ => format!("stop it, or have Meshlite listen elsewhere: {flag} ADDRESS:PORT"),
    };
    Finding::failure(check, found, todo)
}

/// Who listens at a port that a Service may get, or where another plane would.
fn other_port(socket: &Socket, node_ports: &RangeInclusive<u16>) -> Option<Finding> {
    let (protocol, address) = (socket.listener.protocol, socket.listener.address);
    let port = address.port();
    let check = format!("port {port}/{protocol}");
    let found = socket.to_string();
    let is_tcp = protocol == Protocol::Tcp;
    if is_tcp && CONTROL_PLANE.contains(&port) {
        let todo = "have it listen on another port, if a control plane is to run on this node";
        return Some(Finding::warning(check, found, todo));
    }
    if address.ip().is_loopback() || socket.is_kube_proxys() {
        return None;
    }
    let why = if node_ports.contains(&port) {
        "which is in the range of node ports: a Service that gets it takes its connections"
    } else if is_tcp && INGRESS.contains(&port) {
        "where the ingress is reached by NodePort or the host's ports: it takes its connections"
    } else {
        return None;
    };
    let todo = "have it listen on another port, or on 127.0.0.1 only; or give node ports other addresses \
                (--nodeport-addresses)";
    Some(Finding::warning(check, format!("{found}, {why}"), todo))
}

// === impl Socket ===

impl Socket {
    fn is_ours(&self) -> bool {
        self.is_of(OURS)
    }

    /// Old ones keep node ports open, so that nobody else takes them.
    fn is_kube_proxys(&self) -> bool {
        self.is_of("kube-proxy")
    }

    fn is_of(&self, name: &str) -> bool {
        self.holder
            .as_ref()
            .is_some_and(|holder| holder.name == name)
    }
}

impl std::fmt::Display for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { listener, holder } = self;
        match holder {
            Some(holder) => write!(f, "{holder} listens on {}", listener.address),
            None => write!(
                f,
                "a program that cannot be seen from here listens on {}",
                listener.address
            ),
        }
    }
}
