//! Reads the bytes of a PROXY header. They may come from anybody. Pure.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::{FromStr, SplitAsciiWhitespace},
};

use super::Told;

/// Bytes that tell the versions apart; the shortest line has no more.
pub(super) const FIRST: usize = 15;
/// Bytes of version 2 before those whose number they say.
pub(super) const HEAD: usize = 16;
/// The longest line, with its end.
pub(super) const LONGEST_LINE: usize = 107;
/// The longest binary header that is read, after its first bytes. Extensions are read over.
const LONGEST: usize = 4096;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The versions of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Version 1.
    Line,
    /// Version 2.
    Binary,
}

/// What a header of version 2 is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// The load balancer's own connection, such as a health check.
    Local,
    Ipv4,
    Ipv6,
    /// A client of a family that has no address for us.
    Other,
}

/// Why bytes are no PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::listen) enum Malformed {
    #[error("the connection does not begin with a PROXY header")]
    Signature,
    #[error("the PROXY header's line is not one")]
    Line,
    #[error("the PROXY header has an unknown version, command or family")]
    Command,
    #[error("the PROXY header is too short or too long for what it says")]
    Length,
}

/// The version of a header that begins with these bytes.
pub(super) fn version(first: &[u8]) -> Result<Version, Malformed> {
    if first.starts_with(b"PROXY ") {
        Ok(Version::Line)
    } else if first.starts_with(SIGNATURE) {
        Ok(Version::Binary)
    } else {
        Err(Malformed::Signature)
    }
}

/// What a header of version 2 is for, and how many bytes follow.
pub(super) fn head(head: &[u8; HEAD]) -> Result<(Command, usize), Malformed> {
    let rest = head.strip_prefix(SIGNATURE).ok_or(Malformed::Signature)?;
    let [command, family, high, low] = *rest else {
        return Err(Malformed::Signature);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let command = match (command, family) {
        (0x20, _) => Command::Local,
        (0x21, 0x11) => Command::Ipv4,
        (0x21, 0x21) => Command::Ipv6,
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Command::Other,
        _ => return Err(Malformed::Command),
    };
    if length > LONGEST {
        return Err(Malformed::Length);
    }
    Ok((command, length))
}

/// A whole line, with its end.
pub(super) fn line(line: &[u8]) -> Result<Option<Told>, Malformed> {
    let text = line.strip_suffix(b"\r\n").ok_or(Malformed::Line)?;
    let text = std::str::from_utf8(text).map_err(|_invalid| Malformed::Line)?;
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Malformed::Line);
    }
    let mut words = text.split_ascii_whitespace();
    if words.next() != Some("PROXY") {
        return Err(Malformed::Line);
    }
    let is_ipv4 = match words.next() {
        // Whatever else it says.
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4") => true,
        Some("TCP6") => false,
        _ => return Err(Malformed::Line),
    };
    let addresses = (word::<IpAddr>(&mut words)?, word::<IpAddr>(&mut words)?);
    let ports = (word::<u16>(&mut words)?, word::<u16>(&mut words)?);
    let is_family = |address: IpAddr| address.is_ipv4() == is_ipv4;
    if words.next().is_some() || !is_family(addresses.0) || !is_family(addresses.1) {
        return Err(Malformed::Line);
    }
    Ok(Some(Told {
        client: SocketAddr::new(addresses.0, ports.0),
        local: SocketAddr::new(addresses.1, ports.1),
    }))
}

fn word<T: FromStr>(words: &mut SplitAsciiWhitespace<'_>) -> Result<T, Malformed> {
    let word = words.next().ok_or(Malformed::Line)?;
    word.parse().map_err(|_invalid| Malformed::Line)
}

/// What follows the first bytes of a header of version 2.
pub(super) fn binary(command: Command, rest: &[u8]) -> Result<Option<Told>, Malformed> {
    match command {
        Command::Local | Command::Other => Ok(None),
        Command::Ipv4 => told::<4>(rest, |octets| Ipv4Addr::from(octets).into()).map(Some),
        Command::Ipv6 => told::<16>(rest, |octets| Ipv6Addr::from(octets).into()).map(Some),
    }
}

/// Two addresses of so many bytes, and then two ports.
fn told<const N: usize>(rest: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> Result<Told, Malformed> {
    let (client, rest) = rest.split_first_chunk::<N>().ok_or(Malformed::Length)?;
    let (local, rest) = rest.split_first_chunk::<N>().ok_or(Malformed::Length)?;
    let (ports, _extensions) = rest.split_first_chunk::<4>().ok_or(Malformed::Length)?;
    let [a, b, c, d] = *ports;
    Ok(Told {
        client: SocketAddr::new(ip(*client), u16::from_be_bytes([a, b])),
        local: SocketAddr::new(ip(*local), u16::from_be_bytes([c, d])),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a header says, read as it is read from a connection.
    fn read(bytes: &[u8]) -> Result<Option<(String, String)>, Malformed> {
        let told = match version(bytes.get(..FIRST).ok_or(Malformed::Length)?)? {
            Version::Line => line(bytes),
            Version::Binary => {
                let (command, length) = head(bytes.first_chunk().ok_or(Malformed::Length)?)?;
                let rest = bytes.get(HEAD..HEAD + length).ok_or(Malformed::Length)?;
                binary(command, rest)
            }
        };
        Ok(told?.map(|told| (told.client.to_string(), told.local.to_string())))
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, [command, family].as_slice(), &length, rest].concat()
    }

    fn pair(client: &str, local: &str) -> (String, String) {
        (client.to_owned(), local.to_owned())
    }

    #[test]
    fn lines_are_read() {
        assert_eq!(
            read(b"PROXY TCP4 192.0.2.1 198.51.100.1 1000 443\r\n").unwrap(),
            Some(pair("192.0.2.1:1000", "198.51.100.1:443"))
        );
        assert_eq!(
            read(b"PROXY TCP6 2001:db8::1 ::1 65535 1\r\n").unwrap(),
            Some(pair("[2001:db8::1]:65535", "[::1]:1"))
        );
        assert_eq!(read(b"PROXY UNKNOWN\r\n").unwrap(), None);
        assert_eq!(
            read(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n").unwrap(),
            None
        );
    }

    #[test]
    fn binary_headers_are_read_over_their_extensions() {
        let ipv4 = [192, 0, 2, 1, 198, 51, 100, 1, 3, 232, 1, 187, 4, 0, 1, 9];
        assert_eq!(
            read(&version_2(0x21, 0x11, &ipv4)).unwrap(),
            Some(pair("192.0.2.1:1000", "198.51.100.1:443"))
        );
        let mut ipv6 = [0; 36];
        (ipv6[15], ipv6[31], ipv6[33], ipv6[35]) = (1, 2, 3, 4);
        assert_eq!(
            read(&version_2(0x21, 0x21, &ipv6)).unwrap(),
            Some(pair("[::1]:3", "[::2]:4"))
        );
        assert_eq!(read(&version_2(0x20, 0x00, &[])).unwrap(), None);
        assert_eq!(read(&version_2(0x21, 0x31, &[0; 216])).unwrap(), None);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".as_slice(),
            b"PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            b"PROXY TCP4 192.0.2.1\n192.0.2.2 1 2\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            &version_2(0x21, 0x11, &[0; 11]),
            &version_2(0x21, 0x21, &[0; 35]),
            &version_2(0x21, 0x99, &[0; 12]),
            &version_2(0x11, 0x11, &[0; 12]),
            &version_2(0x21, 0x11, &[0; 5000]),
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            start in prop::sample::select(vec![b"PROXY ".to_vec(), SIGNATURE.to_vec(), vec![]]),
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            drop(read(&[start, rest].concat()));
        }
    }
}
