//! Programs of this host that listen where a NodePort is: the kernel takes their connections for the Service.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    io::{self, BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use meshlite_snapshot::Protocol;

/// Where the kernel lists the sockets of this thread's network namespace.
const FILES: [(Protocol, &str); 4] = [
    (Protocol::Tcp, "/proc/thread-self/net/tcp"),
    (Protocol::Tcp, "/proc/thread-self/net/tcp6"),
    (Protocol::Udp, "/proc/thread-self/net/udp"),
    (Protocol::Udp, "/proc/thread-self/net/udp6"),
];
/// States of sockets that take connections, or datagrams from anybody: `TCP_LISTEN`, and of UDP `TCP_CLOSE`.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// A socket that anybody can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listener {
    /// Transport protocol.
    pub(crate) protocol: Protocol,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// The sockets of this host at these ports. Those at loopback addresses are left out: NodePorts are not there.
pub(crate) fn at(ports: &BTreeSet<(Protocol, u16)>) -> io::Result<BTreeSet<Listener>> {
    if ports.is_empty() {
        return Ok(BTreeSet::new());
    }
    let found = all(|protocol, port| ports.contains(&(protocol, port)))?;
    let elsewhere = found
        .into_keys()
        .filter(|listener| !listener.address.ip().is_loopback());
    Ok(elsewhere.collect())
}

/// The sockets of this host at the ports that are wanted, each with its inode: programs have them open by that.
pub(crate) fn all(
    is_wanted: impl Fn(Protocol, u16) -> bool,
) -> io::Result<BTreeMap<Listener, u64>> {
    let mut found = BTreeMap::new();
    for (protocol, file) in FILES {
        let file = match fs::File::open(file) {
            // This kernel has no IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        for line in BufReader::new(file).lines().skip(1) {
            let Some((listener, inode)) = listener(protocol, &line?) else {
                // The kernel lists the sockets of TCP that listen before all others, of which there may be very many.
                if protocol == Protocol::Tcp {
                    break;
                }
                continue;
            };
            if is_wanted(protocol, listener.address.port()) {
                found.insert(listener, inode);
            }
        }
    }
    Ok(found)
}

/// Reads a line of the kernel's list; `None` where it is of no socket that listens.
fn listener(protocol: Protocol, line: &str) -> Option<(Listener, u64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (words.next()?, words.next()?, words.next()?);
    let wanted = match protocol {
        Protocol::Tcp => LISTENS,
        Protocol::Udp | Protocol::Sctp => UNCONNECTED,
    };
    if state != wanted {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let listener = Listener {
        protocol,
        address: (ip(address)?, port).into(),
    };
    // Behind the queues, two timers, the user and a timeout.
    let inode = words.nth(5)?.parse().ok()?;
    Some((listener, inode))
}

/// An address as hexadecimal words, each of which is a number in the machine's byte order.
fn ip(text: &str) -> Option<IpAddr> {
    let word = |word: &[u8]| {
        let text = str::from_utf8(word).ok()?;
        u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes)
    };
    let (words, []) = text.as_bytes().as_chunks::<8>() else {
        return None;
    };
    match words {
        [v4] => Some(Ipv4Addr::from(word(v4)?).into()),
        [a, b, c, d] => {
            let words = [word(a)?, word(b)?, word(c)?, word(d)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// As a finding says it.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, address } = self;
        write!(
            f,
            "a program of this node listens on {address} ({protocol}), which is a node port: connections from \
             elsewhere go to the Service and not to it. Have it listen on another port"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use proptest::prelude::*;

    use super::*;
    use crate::host::testing::in_namespace;

    #[test]
    fn lines_of_the_kernels_lists_are_read() {
        let v4 = "   0: 0100A8C0:7531 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 71 1";
        let v6 = "   1: B80D01200000000000000000010000C0:7531 00000000000000000000000000000000:0000 07 \
                  00000000:00000000 00:00000000 00000000     0        0 72 2";
        if cfg!(target_endian = "little") {
            let place = |protocol, line| {
                listener(protocol, line).map(|(listener, inode)| (listener.address, inode))
            };
            let expected = Some(("192.168.0.1:30001".parse().unwrap(), 71));
            assert_eq!(place(Protocol::Tcp, v4), expected);
            let expected = Some(("[2001:db8::c000:1]:30001".parse().unwrap(), 72));
            assert_eq!(place(Protocol::Udp, v6), expected);
        }
        assert_eq!(listener(Protocol::Tcp, v6), None, "it is connected");
        assert_eq!(
            listener(Protocol::Tcp, "  sl  local_address rem_address   st"),
            None
        );
    }

    #[test]
    fn programs_that_listen_are_found_and_clients_and_loopback_are_not() {
        in_namespace(|| {
            let everywhere = TcpListener::bind("0.0.0.0:30001").unwrap();
            let v6 = TcpListener::bind("[::]:30002").unwrap();
            let local = TcpListener::bind("127.0.0.1:30003").unwrap();
            let udp = UdpSocket::bind("[::]:30001").unwrap();
            let other = TcpListener::bind("0.0.0.0:30009").unwrap();
            let client = TcpStream::connect("127.0.0.1:30001").unwrap();
            let ports = [30001, 30002, 30003].into_iter();
            let mut ports: BTreeSet<_> = ports.map(|port| (Protocol::Tcp, port)).collect();
            ports.insert((Protocol::Udp, 30001));
            ports.insert((Protocol::Tcp, client.local_addr().unwrap().port()));
            let found = at(&ports).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|l| (l.protocol, l.address.to_string()))
                .collect();
            let expected = [
                (Protocol::Tcp, "0.0.0.0:30001"),
                (Protocol::Tcp, "[::]:30002"),
                (Protocol::Udp, "[::]:30001"),
            ];
            assert_eq!(
                found,
                expected.map(|(protocol, address)| (protocol, address.to_owned()))
            );
            drop((everywhere, v6, local, udp, other, client));
        });
    }

    proptest! {
        #[test]
        fn any_line_is_read_to_an_end(line in "[0-9A-F: é]{0,80}") {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let _listener_or_none = listener(protocol, &line);
            }
        }
    }
}
