//! Addresses: which of them can be an endpoint or an external IP.

use std::net::IpAddr;

use super::{Path, Report};

/// What Kubernetes says of an address that is none.
pub(super) const NOT_AN_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// Checks an address that traffic is sent to. Loopback is accepted, unlike in a cluster.
pub(super) fn validate_reachable(address: &str, at: Path<'_>, report: &mut Report) {
    match address.parse::<IpAddr>() {
        Err(_) => report.invalid(at, address, NOT_AN_IP),
        Ok(ip) => {
            if let Some(detail) = unreachable(ip) {
                report.invalid(at, address, detail);
            }
        }
    }
}

/// Why nothing can be reached at this address.
pub(super) fn unreachable(ip: IpAddr) -> Option<&'static str> {
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets().starts_with(&[224, 0, 0])),
        IpAddr::V6(ip) => (
            ip.is_unicast_link_local(),
            ip.segments().first().is_some_and(|s| s & 0xffcf == 0xff02),
        ),
    };
    if ip.is_unspecified() {
        Some("may not be unspecified (0.0.0.0 or ::)")
    } else if link_local {
        Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    } else if link_local_multicast {
        Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reachable_in_file_mode_and_link_local_is_not() {
        for good in ["127.0.0.1", "::1", "10.0.0.1", "fd00::1"] {
            assert_eq!(unreachable(good.parse().unwrap()), None, "{good}");
        }
        for bad in [
            "0.0.0.0",
            "::",
            "169.254.1.1",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
        ] {
            assert!(unreachable(bad.parse().unwrap()).is_some(), "{bad}");
        }
    }
}
