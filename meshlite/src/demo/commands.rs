//! Commands to copy: each works on what is served now.

use std::{net::SocketAddr, path::Path};

use meshlite_snapshot::{HostMatch, PathMatch, Protocol, Service, ServiceType};

use super::{layout::Layout, show::Reachable};
use crate::get::View;

/// What the commands are made from.
#[derive(Debug)]
pub(super) struct Commands<'a> {
    pub(super) layout: &'a Layout,
    pub(super) view: &'a View,
    pub(super) reachable: &'a Reachable<'a>,
    pub(super) manifests: &'a Path,
    /// The certificate that the demo's own hosts are signed by; none with a user's manifests.
    pub(super) authority: Option<&'a Path>,
}

/// What a command shows, and the line to copy.
pub(super) type Command = (&'static str, String);

impl Commands<'_> {
    /// Every command that makes sense.
    pub(super) fn all(&self) -> Vec<Command> {
        let mut all = self.services();
        all.extend(self.ingress());
        all.extend(self.https());
        all.extend(self.inspect());
        if self.authority.is_some() {
            let file = self.manifests.join("web.yaml");
            all.push((
                "scale down, then try the ClusterIP again",
                format!("sed -i 's/replicas: 3/replicas: 1/' {}", file.display()),
            ));
        }
        all
    }

    fn services(&self) -> Vec<Command> {
        let cluster_ip = |service: &Service| self.at(service, "TCP", None);
        let spreads = self.best(|service| {
            let is_plain = service.kind == ServiceType::ClusterIP;
            let addr = cluster_ip(service)?;
            (is_plain && service.session_affinity_seconds.is_none()).then_some(addr)
        });
        let sticks = self.best(|service| {
            let addr = cluster_ip(service)?;
            service.session_affinity_seconds.map(|_| addr)
        });
        let node_port = self.best(|service| {
            let ports = service
                .ports
                .iter()
                .filter(|port| port.protocol == Protocol::Tcp);
            ports
                .into_iter()
                .find_map(|port| self.at(service, "TCP", Some(port.node_port?)))
        });
        let udp = self.best(|service| self.at(service, "UDP", None));
        let six_times = |addr| format!("for i in 1 2 3 4 5 6; do curl -s http://{addr}/; done");
        let commands = [
            spreads.map(|addr| ("a ClusterIP: the Pods take turns", six_times(addr))),
            sticks.map(|addr| ("session affinity: always the same Pod", six_times(addr))),
            node_port.map(|addr| ("a NodePort", format!("curl -s http://{addr}/"))),
            udp.map(|addr| {
                (
                    "UDP",
                    format!("echo hello | nc -u -w1 {} {}", addr.ip(), addr.port()),
                )
            }),
        ];
        commands.into_iter().flatten().collect()
    }

    /// The address of the Service with the most endpoints that has one.
    fn best(&self, address: impl Fn(&Service) -> Option<SocketAddr>) -> Option<SocketAddr> {
        let services = self.view.snapshot.services.values().rev();
        let candidates = services.filter_map(|service| {
            let ready = self
                .view
                .endpoints_of_service(&service.namespace, &service.name)
                .ready;
            (ready > 0).then_some((ready, address(service)?))
        });
        candidates
            .max_by_key(|(ready, _)| *ready)
            .map(|(_, addr)| addr)
    }

    /// Where a Service is reachable: at a cluster IP, or at a node port.
    fn at(&self, service: &Service, protocol: &str, node_port: Option<u16>) -> Option<SocketAddr> {
        let key = (service.namespace.as_str(), service.name.as_str());
        let mut servers = self.reachable.get(&key)?.iter();
        let fits = |wanted: SocketAddr| match node_port {
            Some(port) => wanted.port() == port,
            None => service.cluster_ips.contains(&wanted.ip()),
        };
        servers
            .find(|server| server.protocol == protocol && fits(server.address))?
            .bound
    }

    fn ingress(&self) -> Vec<Command> {
        let tables = self.view.snapshot.route_tables.values();
        let routes = tables.flat_map(|table| {
            let host = match &table.host {
                HostMatch::Exact(host) => host.clone(),
                HostMatch::OneLabel(domain) | HostMatch::Suffix(domain) => format!("any.{domain}"),
                HostMatch::Any => "any.test".to_owned(),
            };
            table.routes.iter().map(move |route| (host.clone(), route))
        });
        let served = routes.filter(|(_, route)| {
            let is_path = matches!(route.path.kind, PathMatch::Exact | PathMatch::Prefix);
            let cluster = |name| self.view.snapshot.clusters.get(name);
            let mut clusters = route
                .backends
                .iter()
                .filter_map(|backend| cluster(&backend.cluster));
            is_path && clusters.any(|cluster| self.view.endpoints_of_cluster(cluster).ready > 0)
        });
        // Plain hosts before wildcards, short paths before long ones.
        let Some((host, route)) =
            served.min_by_key(|(host, route)| (host.starts_with("any."), route.path.value.len()))
        else {
            return Vec::new();
        };
        let (http, path) = (self.layout.http, &route.path.value);
        let (ip, port) = (http.ip(), http.port());
        vec![
            (
                "an Ingress, by host",
                format!("curl -s -H 'Host: {host}' http://{http}{path}"),
            ),
            (
                "the same, with the request as the Pod saw it",
                format!(
                    "curl -s --resolve {host}:{port}:{ip} 'http://{host}:{port}{path}?verbose'"
                ),
            ),
            (
                "a WebSocket (needs websocat)",
                format!("echo hello | websocat -H 'Host: {host}' ws://{http}{path}"),
            ),
        ]
    }

    fn https(&self) -> Option<Command> {
        let secrets = self.view.snapshot.tls_secrets.values();
        let host =
            secrets
                .flat_map(|secret| &secret.bindings)
                .find_map(|binding| match &binding.host {
                    HostMatch::Exact(host) => Some(host),
                    _ => None,
                })?;
        let (ip, port) = (self.layout.https.ip(), self.layout.https.port());
        let trust = match self.authority {
            Some(path) => format!("--cacert {}", path.display()),
            None => "-k".to_owned(),
        };
        Some((
            "HTTPS, with the certificate of this host",
            format!("curl -s {trust} --resolve {host}:{port}:{ip} https://{host}:{port}/"),
        ))
    }

    fn inspect(&self) -> Vec<Command> {
        let grpc = self.layout.grpc;
        let package = "meshlite.discovery.v1";
        let program = std::env::current_exe();
        let program =
            program.map_or_else(|_| "meshlite".to_owned(), |path| path.display().to_string());
        vec![
            (
                "the gRPC services (needs grpcurl)",
                format!("grpcurl -plaintext {grpc} list"),
            ),
            (
                "one of them",
                format!("grpcurl -plaintext {grpc} describe {package}.SnapshotDiscovery"),
            ),
            (
                "the snapshot that both data planes hold",
                format!("grpcurl -plaintext {grpc} {package}.SnapshotDiscovery/FetchSnapshot"),
            ),
            (
                "the same as a table",
                format!("{program} get snapshot --control-plane http://{grpc}"),
            ),
            (
                "what the node has programmed",
                format!("curl -s http://{}/virtualservers", self.layout.node_metrics),
            ),
        ]
    }
}
