//! Reads the values that several kinds of object have in common: addresses, ports, names.

use std::net::{IpAddr, Ipv4Addr};

use meshlite_snapshot::{AddressFamily, Protocol};

/// Reads an address as Kubernetes does: leading zeros are decimal, an IPv4-mapped address is IPv4.
pub(crate) fn ip(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
        .or_else(|| ipv4_with_leading_zeros(text))
}

fn ipv4_with_leading_zeros(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = part.parse().ok()?;
    }
    parts
        .next()
        .is_none()
        .then(|| Ipv4Addr::from(octets).into())
}

/// Reads an address that traffic can be sent to, or says what is wrong with it.
pub(crate) fn unicast(text: &str) -> Result<IpAddr, String> {
    let Some(address) = ip(text) else {
        return Err(format!("{text:?} is not an IP address"));
    };
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err(format!("{address} is not an address of one host"));
    }
    Ok(address)
}

/// Reads a port, 1 to 65,535.
pub(crate) fn port(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port != 0)
}

/// Reads a protocol; absent means TCP.
pub(crate) fn protocol(text: Option<&str>) -> Result<Protocol, String> {
    match text {
        None | Some("TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Ok(Protocol::Sctp),
        Some(other) => Err(unsupported(other, &["TCP", "UDP", "SCTP"])),
    }
}

/// Reads an address family.
pub(crate) fn family(text: &str) -> Option<AddressFamily> {
    match text {
        "IPv4" => Some(AddressFamily::Ipv4),
        "IPv6" => Some(AddressFamily::Ipv6),
        _ => None,
    }
}

/// How a family is written.
pub(crate) const fn family_name(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Ipv4 => "IPv4",
        AddressFamily::Ipv6 => "IPv6",
    }
}

/// Says that a value is none of those that there are.
pub(crate) fn unsupported(value: &str, known: &[&str]) -> String {
    format!(
        "unsupported value {value:?}; supported values: {}",
        known.join(", ")
    )
}

/// A text that says something. On the wire, an empty one means none.
pub(crate) fn non_empty(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

/// Whether this is a DNS-1123 subdomain: lower-case labels of letters, digits and inner hyphens.
pub(crate) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        })
}

/// Whether this is a port name (`IANA_SVC_NAME`), so that it cannot be taken for a number.
pub(crate) fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_dns_subdomain(text)
        && !text.contains('.')
        && !text.contains("--")
        && text.bytes().any(|b| b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kubernetes_reads_them() {
        for (text, address) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("010.000.000.010", Some("10.0.0.10")),
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("2001:DB8::1", Some("2001:db8::1")),
            ("10.0.0", None),
            ("10.0.0.1.2", None),
            ("10.0.0.256", None),
            ("10.0.0.+1", None),
            ("10.0.0.1 ", None),
            ("fe80::1%eth0", None),
            ("", None),
            ("None", None),
        ] {
            let expected = address.map(|address| address.parse().unwrap());
            assert_eq!(ip(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nobody_lives_at_an_unspecified_or_multicast_address() {
        for bad in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
            assert!(unicast(bad).is_err(), "{bad}");
        }
        assert!(unicast("127.0.0.1").is_ok());
    }

    #[test]
    fn port_names_are_no_numbers() {
        for good in ["http", "http2", "80-http", "a"] {
            assert!(is_port_name(good), "{good}");
        }
        for bad in [
            "80",
            "",
            "-a",
            "a-",
            "a--b",
            "HTTP",
            "a.b",
            "sixteen-letters-",
        ] {
            assert!(!is_port_name(bad), "{bad}");
        }
    }
}
