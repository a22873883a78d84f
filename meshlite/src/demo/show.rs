//! What the demo prints once it runs: where everything is, and commands to copy.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
};

use meshlite_snapshot::{HostMatch, Protocol, Service, ServiceType};

use super::{
    layout::Layout,
    status::{self, NodeTable},
};
use crate::{
    get::{self, View},
    output,
};

/// Where the virtual servers of a Service really listen, by namespace and name.
type Reachable<'a> = BTreeMap<(&'a str, &'a str), Vec<(&'a str, SocketAddr)>>;

/// Prints it. `authority` is the certificate that the demo's own hosts are signed by.
pub(crate) async fn show(
    layout: &Layout,
    manifests: &Path,
    authority: Option<&Path>,
) -> anyhow::Result<()> {
    let view = get::fetch(&format!("http://{}", layout.grpc)).await?;
    let node = status::node_table(layout.node_metrics).await?;
    let places = places(layout, manifests);
    let services = services(&view, &reachable(&node));
    let routes = get::routes(&view).unwrap_or_else(|| "<none>\n".to_owned());
    let findings = findings(&view, &node);
    let commands: String = commands(layout, &view, &reachable(&node), manifests, authority)
        .into_iter()
        .flat_map(|(what, command)| {
            [
                "  # ".to_owned(),
                what.to_owned(),
                "\n  ".to_owned(),
                command,
                "\n".to_owned(),
            ]
        })
        .collect();
    let text = format!(
        "{places}\nSERVICES\n{services}\nROUTES\n{routes}{findings}\nTRY\n{commands}
Edit the manifests while it runs: the traffic follows. Ctrl-C ends the demo."
    );
    output::line(&text)?;
    Ok(())
}

fn places(layout: &Layout, manifests: &Path) -> String {
    let Layout {
        services,
        pods,
        node,
        grpc,
        control_plane_admin,
        node_metrics,
        node_health,
        http,
        https,
        ingress_admin,
        notes,
        ..
    } = layout;
    let notes: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
    format!(
        "Meshlite demo: everything on loopback, in user space; nothing else of this host is touched.\n{notes}
  manifests      {}
  control plane  gRPC {grpc}, admin http://{control_plane_admin}
  node           {node}, metrics http://{node_metrics}, health http://{node_health}
  ingress        http://{http}, https://{https}, admin http://{ingress_admin}
  addresses      Services {services}, Pods {pods}\n",
        manifests.display()
    )
}

fn reachable(node: &NodeTable) -> Reachable<'_> {
    let mut reachable = Reachable::new();
    for server in &node.virtual_servers {
        if let Some(bound) = server.bound {
            let key = (server.namespace.as_str(), server.service.as_str());
            reachable
                .entry(key)
                .or_default()
                .push((server.protocol.as_str(), bound));
        }
    }
    reachable
}

fn services(view: &View, reachable: &Reachable<'_>) -> String {
    let rows: Vec<_> = view
        .snapshot
        .services
        .values()
        .map(|service| {
            let key = (service.namespace.as_str(), service.name.as_str());
            let at: BTreeSet<String> = reachable
                .get(&key)
                .into_iter()
                .flatten()
                .map(|(protocol, addr)| match *protocol {
                    "TCP" => addr.to_string(),
                    other => format!("{addr}/{other}"),
                })
                .collect();
            let at: Vec<_> = at.into_iter().collect();
            [
                service.namespace.clone(),
                service.name.clone(),
                get::kind(service.kind).to_owned(),
                if at.is_empty() {
                    elsewhere(service)
                } else {
                    at.join(" ")
                },
                view.endpoints_of_service(&service.namespace, &service.name)
                    .to_string(),
            ]
        })
        .collect();
    output::columns(
        ["NAMESPACE", "NAME", "TYPE", "REACHABLE-AT", "READY"],
        &rows,
    )
}

fn elsewhere(service: &Service) -> String {
    match (&service.external_name, service.headless) {
        (Some(name), _) => format!("<{name}>"),
        (None, true) => "<no virtual IP: headless>".to_owned(),
        (None, false) => "<nowhere: see findings>".to_owned(),
    }
}

fn findings(view: &View, node: &NodeTable) -> String {
    let mut lines: Vec<String> = view.findings.iter().map(ToString::to_string).collect();
    lines.extend(node.findings.iter().map(|finding| {
        let part = |name: &str| finding[name].as_str().unwrap_or_default();
        let object = &finding["object"];
        format!(
            "node: {} {}/{}: {}: {}",
            object["kind"].as_str().unwrap_or_default(),
            object["namespace"].as_str().unwrap_or_default(),
            object["name"].as_str().unwrap_or_default(),
            part("reason"),
            part("message")
        )
    }));
    if lines.is_empty() {
        String::new()
    } else {
        format!("\nFINDINGS\n{}\n", lines.join("\n"))
    }
}

/// Commands that work now: what each shows, and the line to copy.
fn commands(
    layout: &Layout,
    view: &View,
    reachable: &Reachable<'_>,
    manifests: &Path,
    authority: Option<&Path>,
) -> Vec<(&'static str, String)> {
    let mut commands = Vec::new();
    // One that spreads shows more than one that does not.
    let most_ready = |wanted: &dyn Fn(&Service) -> bool| {
        let services = view
            .snapshot
            .services
            .values()
            .filter(|service| wanted(service));
        services
            .map(|service| {
                (
                    view.endpoints_of_service(&service.namespace, &service.name)
                        .ready,
                    service,
                )
            })
            .filter(|(ready, _)| *ready > 0)
            .max_by(|(a, one), (b, two)| a.cmp(b).then_with(|| two.name.cmp(&one.name)))
            .map(|(_, service)| service)
    };
    let at = |service: &Service, protocol: &str, node_port: Option<u16>| {
        let servers = reachable.get(&(service.namespace.as_str(), service.name.as_str()))?;
        let fits = |addr: &SocketAddr| match node_port {
            Some(port) => addr.port() == port,
            None => service.cluster_ips.contains(&addr.ip()),
        };
        servers
            .iter()
            .find(|(p, addr)| *p == protocol && fits(addr))
            .map(|(_, addr)| *addr)
    };
    let speaks =
        |service: &Service, protocol| service.ports.iter().any(|port| port.protocol == protocol);
    if let Some(service) =
        most_ready(&|s| s.kind == ServiceType::ClusterIP && s.l4 && speaks(s, Protocol::Tcp))
        && let Some(addr) = at(service, "TCP", None)
    {
        commands.push((
            "a ClusterIP: another Pod each time",
            format!("for i in 1 2 3 4 5 6; do curl -s http://{addr}/; done"),
        ));
    }
    if let Some(service) = most_ready(&|s| s.ports.iter().any(|port| port.node_port.is_some()))
        && let Some(addr) = service
            .ports
            .iter()
            .find_map(|port| at(service, port.protocol.as_str(), Some(port.node_port?)))
    {
        commands.push(("a NodePort", format!("curl -s http://{addr}/")));
    }
    if let Some(service) = most_ready(&|s| s.l4 && speaks(s, Protocol::Udp))
        && let Some(addr) = at(service, "UDP", None)
    {
        commands.push((
            "UDP",
            format!("echo hello | nc -u -w1 {} {}", addr.ip(), addr.port()),
        ));
    }
    commands.extend(ingress_commands(layout, view, authority));
    let grpc = layout.grpc;
    commands.push((
        "the services of the control plane (needs grpcurl)",
        format!("grpcurl -plaintext {grpc} list"),
    ));
    commands.push((
        "one of them described",
        format!("grpcurl -plaintext {grpc} describe meshlite.discovery.v1.SnapshotDiscovery"),
    ));
    commands.push((
        "the snapshot that both data planes hold",
        format!("grpcurl -plaintext {grpc} meshlite.discovery.v1.SnapshotDiscovery/FetchSnapshot"),
    ));
    commands.push((
        "the same as a table",
        format!("meshlite get snapshot --control-plane http://{grpc}"),
    ));
    commands.push((
        "what the node has programmed",
        format!("curl -s http://{}/virtualservers", layout.node_metrics),
    ));
    if authority.is_some() {
        let file = manifests.join("web.yaml");
        commands.push((
            "scale down; then try the ClusterIP again",
            format!("sed -i 's/replicas: 3/replicas: 1/' {}", file.display()),
        ));
    }
    commands
}

fn ingress_commands(
    layout: &Layout,
    view: &View,
    authority: Option<&Path>,
) -> Vec<(&'static str, String)> {
    let mut commands = Vec::new();
    let routed = view.snapshot.route_tables.values().find_map(|table| {
        let route = table
            .routes
            .iter()
            .find(|route| !route.backends.is_empty())?;
        let host = match &table.host {
            HostMatch::Exact(host) => host.clone(),
            HostMatch::OneLabel(domain) | HostMatch::Suffix(domain) => format!("any.{domain}"),
            HostMatch::Any => "anything".to_owned(),
        };
        Some((host, route.path.value.clone()))
    });
    if let Some((host, path)) = routed {
        let http = layout.http;
        commands.push((
            "an Ingress, by host",
            format!("curl -s -H 'Host: {host}' http://{http}{path}"),
        ));
        commands.push((
            "the same with the request as the Pod saw it",
            format!(
                "curl -s --resolve {host}:{}:{} 'http://{host}:{}{path}?verbose'",
                http.port(),
                http.ip(),
                http.port()
            ),
        ));
        commands.push((
            "a WebSocket (needs websocat)",
            format!("echo hello | websocat -H 'Host: {host}' ws://{http}{path}"),
        ));
    }
    let hosts = view
        .snapshot
        .tls_secrets
        .values()
        .flat_map(|secret| &secret.bindings);
    let secure = hosts.into_iter().find_map(|binding| match &binding.host {
        HostMatch::Exact(host) => Some(host),
        _ => None,
    });
    if let Some(host) = secure {
        let https = layout.https;
        let trust = match authority {
            Some(path) => format!("--cacert {}", path.display()),
            None => "-k".to_owned(),
        };
        commands.push((
            "HTTPS, with the certificate of this host",
            format!(
                "curl -s {trust} --resolve {host}:{}:{} https://{host}:{}/",
                https.port(),
                https.ip(),
                https.port()
            ),
        ));
    }
    commands
}
