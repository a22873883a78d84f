//! The hosts of rules and of `tls`.

use std::net::IpAddr;

use meshlite_snapshot::HostMatch;

use crate::values;

/// Reads a host; empty means every host.
pub(super) fn host(text: &str) -> Result<HostMatch, String> {
    if text.is_empty() {
        return Ok(HostMatch::Any);
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(format!("{text} is an address; a host is a DNS name"));
    }
    let (domain, wildcard) = match text.strip_prefix("*.") {
        Some(domain) => (domain, true),
        None => (text, false),
    };
    if !values::is_dns_subdomain(domain) {
        return Err(format!(
            "{text:?} is not a lower-case DNS name, nor one after \"*.\""
        ));
    }
    Ok(if wildcard {
        HostMatch::OneLabel(domain.to_owned())
    } else {
        HostMatch::Exact(domain.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_a_wildcard_or_every_host() {
        assert_eq!(host(""), Ok(HostMatch::Any));
        assert_eq!(
            host("a.example.com"),
            Ok(HostMatch::Exact("a.example.com".into()))
        );
        assert_eq!(
            host("*.example.com"),
            Ok(HostMatch::OneLabel("example.com".into()))
        );
        for bad in [
            "*",
            "*.",
            "*.*.example.com",
            "a.*.com",
            "A.example.com",
            "example.com.",
            "example.com:80",
            "10.0.0.1",
            "::1",
            "-a.example.com",
            "a..b",
            "a_b",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
