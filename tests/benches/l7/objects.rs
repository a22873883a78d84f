//! The manifests of the ingress: Ingresses of ten routes each, with a Service each, all of which the origin stands for.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path};

/// The host that is asked for; others differ in their number only.
pub(crate) const HOST: &str = "h0000.example.com";
/// Its route that is asked for.
pub(crate) const PATH: &str = "/p0/";
/// Routes of one Ingress.
const ROUTES: usize = 10;

/// Writes Ingresses with so many routes in all, and the certificate, into a folder.
pub(crate) fn write(
    folder: &Path,
    routes: usize,
    origin: SocketAddr,
    certificate: &str,
    key: &str,
) -> anyhow::Result<()> {
    let mut text = secret(certificate, key);
    let mut left = routes;
    let mut number = 0;
    while left > 0 {
        let here = left.min(ROUTES);
        text.push_str(&ingress(number, here, origin));
        left -= here;
        number += 1;
    }
    fs::write(folder.join("all.yaml"), text)?;
    Ok(())
}

/// Changes one Ingress that is not asked for: another header each time.
pub(crate) fn churn(folder: &Path, turn: usize) -> anyhow::Result<()> {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: changing\n  namespace: default\n  annotations:\n    \
         meshlite.io/response-headers: \"x-turn: {turn}\"\nspec:\n  rules:\n  - host: changing.example.com\n    http:\n      \
         paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            name: web-0\n            \
         port:\n              number: 80\n"
    );
    let new = folder.join("changing.new");
    fs::write(&new, text)?;
    fs::rename(new, folder.join("changing.yaml"))?;
    Ok(())
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

fn ingress(number: usize, routes: usize, origin: SocketAddr) -> String {
    let (address, port) = (origin.ip(), origin.port());
    let mut text = format!(
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: web-{number}\n  namespace: default\nspec:\n  ports:\n  - port: 80\n    \
         targetPort: {port}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: web-{number}-a\n  \
         namespace: default\n  labels:\n    kubernetes.io/service-name: web-{number}\naddressType: IPv4\nports:\n- port: {port}\n\
         endpoints:\n- addresses: [\"{address}\"]\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: \
         web-{number}\n  namespace: default\nspec:\n  rules:\n  - host: h{number:04}.example.com\n    http:\n      paths:\n"
    );
    for route in 0..routes {
        let path = format!("/p{route}/");
        // Writing to a string cannot fail.
        let _written = write!(
            text,
            "      - path: {path}\n        pathType: Prefix\n        backend:\n          service:\n            name: \
             web-{number}\n            port:\n              number: 80\n"
        );
    }
    text
}
