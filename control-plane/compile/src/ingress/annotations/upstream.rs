//! How requests go to the endpoints of a backend.

use std::sync::Arc;

use meshlite_snapshot::{
    HashPart, LoadBalancing, Name, ProxyProtocol, StickyCookie, UpstreamProtocol, UpstreamTls,
};

use super::{
    Asked, headers,
    secrets::{self, Part},
    sticky,
    written::{Value, Written},
};

/// How requests go to the endpoints of a backend, where an Ingress says so itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ingress) struct Upstream {
    /// The Ingress, which the cluster's name ends with.
    pub(in crate::ingress) ingress: String,
    pub(in crate::ingress) protocol: Option<UpstreamProtocol>,
    pub(in crate::ingress) load_balancing: Option<LoadBalancing>,
    pub(in crate::ingress) hash_by: Vec<HashPart>,
    pub(in crate::ingress) sticky: Option<StickyCookie>,
    pub(in crate::ingress) tls: Option<UpstreamTls>,
    /// Through the Service's own address.
    pub(in crate::ingress) via_service: bool,
    pub(in crate::ingress) send_proxy_protocol: Option<ProxyProtocol>,
}

pub(super) fn read(written: &mut Written<'_, '_>, asked: &mut Asked) -> Option<Arc<Upstream>> {
    let versions = [("v1", ProxyProtocol::V1), ("v2", ProxyProtocol::V2)];
    let mut upstream = Upstream {
        protocol: protocol(written),
        sticky: sticky::read(written),
        via_service: written.flag("service-upstream").unwrap_or_default(),
        send_proxy_protocol: written.choice("send-proxy-protocol", &versions),
        ..Upstream::default()
    };
    upstream.load_balancing = balancing(written);
    if let Some(by) = written.value("upstream-hash-by") {
        match hash(by.text) {
            Ok(parts) => {
                upstream.hash_by = parts;
                upstream.load_balancing = Some(LoadBalancing::Ketama);
            }
            Err(problem) => written.unsupported(&by, &problem),
        }
    }
    upstream.tls = tls(written, asked);
    if upstream == Upstream::default() {
        return None;
    }
    upstream.ingress.clone_from(&written.ingress.name);
    Some(Arc::new(upstream))
}

fn protocol(written: &mut Written<'_, '_>) -> Option<UpstreamProtocol> {
    let value = written.value("backend-protocol")?;
    match value.text.to_ascii_uppercase().as_str() {
        "HTTP" => Some(UpstreamProtocol::Http1),
        "HTTPS" => Some(UpstreamProtocol::Https),
        "GRPC" => Some(UpstreamProtocol::H2c),
        "GRPCS" => Some(UpstreamProtocol::Https2),
        "FCGI" | "AUTO_HTTP" => {
            written.unsupported(&value, "is not spoken; HTTP is, in its place");
            None
        }
        _ => {
            written.invalid(&value, "is none of HTTP, HTTPS, GRPC, GRPCS");
            None
        }
    }
}

fn balancing(written: &mut Written<'_, '_>) -> Option<LoadBalancing> {
    let known = [
        ("round_robin", LoadBalancing::RoundRobin),
        ("least_request", LoadBalancing::LeastRequest),
        ("ewma", LoadBalancing::PeakEwma),
    ];
    written.choice("load-balance", &known)
}

fn tls(written: &mut Written<'_, '_>, asked: &mut Asked) -> Option<UpstreamTls> {
    let secret = written.value("proxy-ssl-secret");
    let verify = written.protecting_choice("proxy-ssl-verify", &[("on", true), ("off", false)]);
    let sends_name = written.flag("proxy-ssl-server-name").unwrap_or_default();
    let name = server_name(written);
    if secret.is_none() && verify.is_none() && name.is_none() {
        return None;
    }
    let verify = verify.unwrap_or_default();
    if let Some(value) = written.value("proxy-ssl-verify")
        && verify
        && value.is_nginx
        && secret.is_none()
    {
        let problem = "verifies certificates of backends by the system's authorities; without proxy-ssl-secret \
                       ingress-nginx verifies nothing";
        written.approximate(&value, problem);
    }
    let mut part = |part: Part| -> Option<Name> {
        let value: &Value<'_> = secret.as_ref()?;
        let named = secrets::named(written, value, part)?;
        Some(asked.secret(value.field.clone(), named))
    };
    Some(UpstreamTls {
        verify,
        authorities: if verify {
            part(Part::Authorities)
        } else {
            None
        },
        identity: part(Part::Identity),
        server_name: name.filter(|_| sends_name || verify),
    })
}

fn server_name(written: &mut Written<'_, '_>) -> Option<String> {
    let name = written.value("proxy-ssl-name")?;
    let is_name = crate::values::is_dns_subdomain(&name.text.to_ascii_lowercase());
    if !is_name {
        written.close(&name, "is not a server name");
    }
    is_name.then(|| name.text.to_ascii_lowercase())
}

/// nginx's variables and the text between them.
fn hash(text: &str) -> Result<Vec<HashPart>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(HashPart::Text(before.to_owned()));
        }
        let after = after.get(1..).unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, remainder) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or("has a ${ without its }")?,
            None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
        };
        parts
            .push(variable(name).ok_or_else(|| format!("holds ${name}, which is not known here"))?);
        rest = remainder;
    }
    if !rest.is_empty() {
        parts.push(HashPart::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn variable(name: &str) -> Option<HashPart> {
    Some(match name {
        "remote_addr" | "binary_remote_addr" => HashPart::ClientAddress,
        "request_uri" => HashPart::RequestUri,
        "uri" => HashPart::Path,
        "host" | "http_host" => HashPart::Host,
        _ => {
            let named = |prefix| {
                name.strip_prefix(prefix)
                    .filter(|name| headers::is_token(name))
            };
            if let Some(header) = named("http_") {
                HashPart::Header(header.replace('_', "-").to_ascii_lowercase())
            } else if let Some(cookie) = named("cookie_") {
                HashPart::Cookie(cookie.to_owned())
            } else {
                HashPart::Query(named("arg_")?.to_owned())
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_variables_and_text() {
        assert_eq!(hash("$request_uri"), Ok(vec![HashPart::RequestUri]));
        assert_eq!(
            hash("${remote_addr}-x$http_X_User"),
            Ok(vec![
                HashPart::ClientAddress,
                HashPart::Text("-x".into()),
                HashPart::Header("x-user".into())
            ])
        );
        assert_eq!(hash("static"), Ok(vec![HashPart::Text("static".into())]));
        for bad in ["$", "${", "$pid", "$cookie_", "${uri"] {
            assert!(hash(bad).is_err(), "{bad}");
        }
    }
}
