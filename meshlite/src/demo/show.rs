//! What the demo prints once it runs: where everything is, and commands to copy.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use meshlite_snapshot::Service;

use super::{
    backend::LOW_PORT_OFFSET,
    commands::Commands,
    layout::Layout,
    status::{self, NodeTable, VirtualServer},
};
use crate::{
    get::{self, View},
    output,
};

/// The virtual servers of a Service that really listen, by namespace and name.
pub(super) type Reachable<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a VirtualServer>>;

/// What the node says of a Service port that it serves elsewhere.
const PORT_MOVED: &str = "PortMoved";

/// How many Pods are listed.
const MAX_PODS: usize = 30;

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
    let pods = pods(&view);
    let routes = get::routes(&view).unwrap_or_else(|| "<none>\n".to_owned());
    let findings = findings(&view, &node);
    let try_out = Commands {
        layout,
        view: &view,
        reachable: &reachable(&node),
        manifests,
        authority,
    };
    let commands: String = try_out
        .all()
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
        "{places}\nPODS\n{pods}\nSERVICES\n{services}\nROUTES\n{routes}{findings}\nTRY\n{commands}
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
    let notes: String = notes
        .iter()
        .flat_map(|note| ["note: ", note, "\n"])
        .collect();
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
        if server.bound.is_some() {
            let key = (server.namespace.as_str(), server.service.as_str());
            reachable.entry(key).or_default().push(server);
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
                .filter_map(|server| match (server.bound?, server.protocol.as_str()) {
                    (addr, "TCP") => Some(addr.to_string()),
                    (addr, other) => Some(format!("{addr}/{other}")),
                })
                .collect();
            let at: Vec<_> = at.into_iter().collect();
            [
                service.namespace.clone(),
                service.name.clone(),
                get::kind(service.kind).to_owned(),
                get::ports(service),
                if at.is_empty() {
                    elsewhere(service)
                } else {
                    at.join(" ")
                },
                get::ready(view, service),
            ]
        })
        .collect();
    let head = [
        "NAMESPACE",
        "NAME",
        "TYPE",
        "PORT(S)",
        "REACHABLE-AT",
        "READY",
    ];
    output::columns(head, &rows)
}

/// The Pods behind all Services: what answers, and where.
fn pods(view: &View) -> String {
    let mut pods: BTreeMap<[String; 3], (bool, BTreeSet<String>)> = BTreeMap::new();
    for group in view.snapshot.endpoint_groups.values() {
        let ports = group.ports.iter();
        let ports: Vec<_> = ports
            .filter_map(|port| Some(format!("{}/{}", port.port?, port.protocol)))
            .collect();
        for endpoint in &group.endpoints {
            let name = endpoint.target.as_deref().unwrap_or("<written by hand>");
            let address = endpoint.address.to_string();
            let pod = pods.entry([group.namespace.clone(), name.to_owned(), address]);
            let (is_ready, all_ports) = pod.or_insert((true, BTreeSet::new()));
            *is_ready &= endpoint.ready;
            all_ports.extend(ports.iter().cloned());
        }
    }
    let more = pods.len().saturating_sub(MAX_PODS);
    let rows: Vec<_> = pods
        .into_iter()
        .take(MAX_PODS)
        .map(|([namespace, name, address], (is_ready, ports))| {
            let ports: Vec<_> = ports.into_iter().collect();
            let ready = if is_ready { "yes" } else { "no" };
            [namespace, name, address, ports.join(","), ready.to_owned()]
        })
        .collect();
    let head = ["NAMESPACE", "NAME", "ADDRESS", "PORT(S)", "READY"];
    let mut text = output::columns(head, &rows);
    if more > 0 {
        text.push_str(&["and ", &more.to_string(), " more\n"].concat());
    }
    text
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
    let mut has_moved = false;
    for finding in &node.findings {
        let part = |name: &str| finding[name].as_str().unwrap_or_default();
        let object = |name: &str| finding["object"][name].as_str().unwrap_or_default();
        if part("reason") == PORT_MOVED {
            has_moved = true;
            continue;
        }
        lines.push(format!(
            "node: {} {}/{}: {}: {}",
            object("kind"),
            object("namespace"),
            object("name"),
            part("reason"),
            part("message")
        ));
    }
    if has_moved {
        lines.push(format!(
            "ports below 1024 may not be bound by this user: they are served on port + {LOW_PORT_OFFSET} instead"
        ));
    }
    if lines.is_empty() {
        String::new()
    } else {
        format!("\nFINDINGS\n{}\n", lines.join("\n"))
    }
}
