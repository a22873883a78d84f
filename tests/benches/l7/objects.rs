//! What is routed: hosts with ten paths each; and the manifests of the ingress that say so.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

/// The host that is asked for; others differ in their number only.
pub(crate) const HOST: &str = "h0000.example.com";
/// Its route that is asked for, to 1 KiB.
pub(crate) const PATH: &str = "/p0/";
/// What the same route has besides, of 10 MiB.
pub(crate) const LARGE_PATH: &str = "/p0/large";
/// Its route to what reads uploads …
pub(crate) const UPLOAD_PATH: &str = "/app/upload";
/// … and echoes WebSocket messages.
pub(crate) const WEBSOCKET_PATH: &str = "/app/echo";
/// Its route to what answers gRPC.
pub(crate) const GRPC_PATH: &str = "/bench.Echo/Unary";
/// Routes of one host.
const ROUTES: usize = 10;

/// What answers, behind every proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// 1 KiB and 10 MiB, by HTTP/1.1.
    Web,
    /// Uploads and WebSocket, by HTTP/1.1.
    App,
    /// HTTP/2 without TLS.
    Grpc,
}

impl Origin {
    pub(crate) const ALL: [Self; 3] = [Self::Web, Self::App, Self::Grpc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::App => "app",
            Self::Grpc => "grpc",
        }
    }
}

/// Where they listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origins {
    pub(crate) address: IpAddr,
    pub(crate) web: u16,
    pub(crate) app: u16,
    pub(crate) grpc: u16,
}

impl Origins {
    pub(crate) fn of(self, origin: Origin) -> SocketAddr {
        let port = match origin {
            Origin::Web => self.web,
            Origin::App => self.app,
            Origin::Grpc => self.grpc,
        };
        SocketAddr::new(self.address, port)
    }
}

/// A host, and its paths with what they lead to.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) routes: Vec<(String, Origin)>,
}

/// So many routes to the web; the first host has those to the others besides, if it `has_all`.
pub(crate) fn table(routes: usize, has_all: bool) -> Vec<Host> {
    let paths: Vec<usize> = (0..routes).collect();
    let mut hosts: Vec<Host> = paths
        .chunks(ROUTES)
        .enumerate()
        .map(|(number, here)| Host {
            name: format!("h{number:04}.example.com"),
            routes: (0..here.len())
                .map(|path| (format!("/p{path}/"), Origin::Web))
                .collect(),
        })
        .collect();
    if let Some(first) = hosts.first_mut().filter(|_| has_all) {
        first.routes.push(("/app/".to_owned(), Origin::App));
        first.routes.push(("/bench.Echo/".to_owned(), Origin::Grpc));
    }
    hosts
}

/// Writes Ingresses for all hosts, and the certificate, into a folder.
pub(crate) fn write(
    folder: &Path,
    hosts: &[Host],
    origins: Origins,
    certificate: &str,
    key: &str,
) -> anyhow::Result<()> {
    let mut text = secret(certificate, key);
    for (number, host) in hosts.iter().enumerate() {
        text.push_str(&service(&format!("web-{number}"), Origin::Web, origins));
        text.push_str(&ingress(number, host));
    }
    for origin in [Origin::App, Origin::Grpc] {
        text.push_str(&service(origin.name(), origin, origins));
    }
    fs::write(folder.join("all.yaml"), text)?;
    Ok(())
}

/// Files that are changed one after the other: one that changes again is not read until it has been left alone for a while.
const CHANGING: usize = 10;

/// Changes one of ten Ingresses that are not asked for: a header, or which of its endpoints are ready, in turn.
pub(crate) fn change(folder: &Path, turn: usize) -> anyhow::Result<()> {
    let (name, text) = changing(turn % CHANGING, turn / CHANGING);
    let new = folder.join("changing.new");
    fs::write(&new, text)?;
    fs::rename(new, folder.join(format!("{name}.yaml")))?;
    Ok(())
}

fn changing(number: usize, round: usize) -> (String, String) {
    let (name, header, is_ready) = (
        format!("changing-{number}"),
        round / 2,
        round.is_multiple_of(2),
    );
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  namespace: default\n  annotations:\n    \
         meshlite.io/response-headers: \"x-turn: {header}\"\nspec:\n  rules:\n  - host: {name}.example.com\n    http:\n      \
         paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            name: {name}\n            \
         port:\n              number: 80\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: default\n\
         spec:\n  ports:\n  - port: 80\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-a\n  \
         namespace: default\n  labels:\n    kubernetes.io/service-name: {name}\naddressType: IPv4\nports:\n- port: 80\n\
         endpoints:\n- addresses: [\"192.0.2.1\"]\n- addresses: [\"192.0.2.2\"]\n  conditions:\n    ready: {is_ready}\n"
    );
    (name, text)
}

fn secret(certificate: &str, key: &str) -> String {
    let indented = |pem: &str| pem.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: certificate\n  namespace: default\ntype: kubernetes.io/tls\nstringData:\n  \
         tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indented(certificate),
        indented(key)
    )
}

fn service(name: &str, origin: Origin, origins: Origins) -> String {
    let at = origins.of(origin);
    let (address, port) = (at.ip(), at.port());
    let protocol = match origin {
        Origin::Web | Origin::App => "",
        Origin::Grpc => "    appProtocol: kubernetes.io/h2c\n",
    };
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: default\nspec:\n  ports:\n  - port: 80\n    \
         targetPort: {port}\n{protocol}---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-a\n  \
         namespace: default\n  labels:\n    kubernetes.io/service-name: {name}\naddressType: IPv4\nports:\n- port: {port}\n\
         endpoints:\n- addresses: [\"{address}\"]\n"
    )
}

fn ingress(number: usize, host: &Host) -> String {
    let mut text = format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web-{number}\n  namespace: default\nspec:\n  \
         rules:\n  - host: {}\n    http:\n      paths:\n",
        host.name
    );
    for (path, origin) in &host.routes {
        let service = match origin {
            Origin::Web => format!("web-{number}"),
            Origin::App | Origin::Grpc => origin.name().to_owned(),
        };
        // Writing to a string cannot fail.
        let _written = write!(
            text,
            "      - path: {path}\n        pathType: Prefix\n        backend:\n          service:\n            name: {service}\n            \
             port:\n              number: 80\n"
        );
    }
    text
}
