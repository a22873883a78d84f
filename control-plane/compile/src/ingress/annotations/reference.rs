//! URLs that annotations name, and Services that they mean.

use super::super::backend::{PortRef, Target};
use crate::{ObjectKey, report::resource_name, values};

/// An absolute URL, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) is_https: bool,
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
}

/// Reads `http(s)://host[:port][/…]`; the host may hold variables.
pub(super) fn url(text: &str) -> Option<Url<'_>> {
    let (scheme, rest) = text.split_once("://")?;
    let is_https = match scheme {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\' | '<' | '>');
    let authority = rest.split(['/', '?', '#']).next()?;
    if rest.contains(bad) || authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
        _ => (authority, None),
    };
    (!host.is_empty() && port != Some(0)).then_some(Url {
        is_https,
        host,
        port,
    })
}

/// Whether a text can be the whole of a `Location`: an absolute URL or path, or one that begins with a variable.
pub(super) fn is_location(text: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\' | '<' | '>');
    !text.contains(bad) && (text.starts_with('/') || text.starts_with('$') || url(text).is_some())
}

impl Url<'_> {
    /// The port of a Service of this cluster that it names: `name.namespace.svc` with or without a cluster's domain.
    pub(super) fn service(&self) -> Option<Target> {
        let mut labels = self.host.split('.');
        let (name, namespace, svc) = (labels.next()?, labels.next()?, labels.next()?);
        let are_names = values::is_dns_subdomain(name) && values::is_dns_subdomain(namespace);
        if svc != "svc" || !are_names {
            return None;
        }
        let port = self.port.unwrap_or(if self.is_https { 443 } else { 80 });
        let name = ObjectKey::new(namespace, name);
        target(name, PortRef::Number(port))
    }
}

/// The target that this Service's port is, with no settings of its own.
pub(super) fn target(service: ObjectKey, port: PortRef) -> Option<Target> {
    let parts = [&*service.namespace, &*service.name, &*port.to_string()];
    let name = resource_name(&parts).ok()?;
    Some(Target {
        name,
        service,
        port,
        upstream: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_and_a_host_and_nothing_that_breaks_a_header() {
        let parts = |text| url(text).map(|url| (url.is_https, url.host, url.port));
        assert_eq!(parts("http://a/b?c"), Some((false, "a", None)));
        assert_eq!(
            parts("https://$host:8443/$request_uri"),
            Some((true, "$host", Some(8443)))
        );
        for bad in [
            "",
            "a",
            "//a",
            "ftp://a",
            "http://",
            "http:///x",
            "http://a:0/",
            "http://a:b/",
            "http://u@a/",
            "http://a/ b",
            "http://a/\r\nx",
            "http://a:99999/",
        ] {
            assert_eq!(url(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_service_is_named_as_in_dns() {
        let named = |text| {
            let target = url(text)?.service()?;
            Some(target.name.to_string())
        };
        assert_eq!(
            named("http://auth.ops.svc.cluster.local:4180/x").as_deref(),
            Some("ops/auth/4180")
        );
        assert_eq!(
            named("https://auth.ops.svc").as_deref(),
            Some("ops/auth/443")
        );
        assert_eq!(named("https://auth.ops.example.com"), None);
        assert_eq!(named("https://$host/oauth2"), None);
    }
}
