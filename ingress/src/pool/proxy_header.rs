//! The PROXY protocol header that tells an endpoint whose connection it is (`HAProxy`'s `proxy-protocol.txt`). Pure.

use std::net::{IpAddr, SocketAddr};

use meshlite_snapshot::ProxyProtocol;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const VERSION_AND_COMMAND: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// A client's connection: its own address, and the one that it connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// What is sent before everything else.
pub(super) fn proxy_header(version: ProxyProtocol, ends: Ends) -> Vec<u8> {
    let (client, local) = same_family(ends);
    let ports = (ends.client.port(), ends.local.port());
    match version {
        ProxyProtocol::V1 => {
            let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = ports;
            format!("PROXY {family} {client} {local} {from} {to}\r\n").into_bytes()
        }
        ProxyProtocol::V2 => {
            let mut header = SIGNATURE.to_vec();
            header.push(VERSION_AND_COMMAND);
            match (client, local) {
                (IpAddr::V4(client), IpAddr::V4(local)) => {
                    header.extend_from_slice(&[TCP_OVER_IPV4, 0, 12]);
                    header.extend_from_slice(&client.octets());
                    header.extend_from_slice(&local.octets());
                }
                (client, local) => {
                    header.extend_from_slice(&[TCP_OVER_IPV6, 0, 36]);
                    header.extend_from_slice(&to_ipv6(client));
                    header.extend_from_slice(&to_ipv6(local));
                }
            }
            header.extend_from_slice(&ports.0.to_be_bytes());
            header.extend_from_slice(&ports.1.to_be_bytes());
            header
        }
    }
}

/// Both addresses in one family: IPv4 if both are.
fn same_family(ends: Ends) -> (IpAddr, IpAddr) {
    let both = (
        ends.client.ip().to_canonical(),
        ends.local.ip().to_canonical(),
    );
    if both.0.is_ipv4() == both.1.is_ipv4() {
        both
    } else {
        (to_ipv6(both.0).into(), to_ipv6(both.1).into())
    }
}

fn to_ipv6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client: &str, local: &str) -> Ends {
        Ends {
            client: client.parse().unwrap(),
            local: local.parse().unwrap(),
        }
    }

    #[test]
    fn version_1_is_a_line() {
        let text = |ends| String::from_utf8(proxy_header(ProxyProtocol::V1, ends)).unwrap();
        assert_eq!(
            text(ends("[::ffff:192.0.2.1]:1000", "198.51.100.1:443")),
            "PROXY TCP4 192.0.2.1 198.51.100.1 1000 443\r\n"
        );
        assert_eq!(
            text(ends("[2001:db8::1]:1", "[2001:db8::2]:2")),
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"
        );
    }

    #[test]
    fn version_2_is_binary() {
        let header = proxy_header(ProxyProtocol::V2, ends("192.0.2.1:258", "198.51.100.1:80"));
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\x01\x02\0\x50";
        assert_eq!(header, expected);
        let header = proxy_header(ProxyProtocol::V2, ends("[2001:db8::1]:1", "192.0.2.1:2"));
        assert_eq!((header.len(), header[13], header[15]), (52, 0x21, 36));
    }
}
