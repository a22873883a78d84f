//! ICMP echo: whether an address answers at all.

use std::{
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::Instant;

use super::{DialError, Host};

const PATIENCE: Duration = Duration::from_secs(2);
/// Of a request and of its answer: RFC 792, RFC 4443.
const V4: (u8, u8) = (8, 0);
const V6: (u8, u8) = (128, 129);
/// The sum of its 16-bit words, which tells an answer to it from others.
const WORDS: [u16; 3] = [0x4d4c, 1, 0x6563];

impl Host {
    /// Sends an echo request, and waits for its answer.
    pub fn ping(&self, to: IpAddr) -> Result<(), DialError> {
        let (domain, protocol, (request, answer)) = match to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, V4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, V6),
        };
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.connect(&SocketAddr::new(to, 0).into())?;
            Ok(socket)
        };
        let mut socket = self.namespace().run(open)?;
        socket.send(&message(request))?;
        let deadline = Instant::now() + PATIENCE;
        let mut packet = [0; 512];
        while Instant::now() < deadline {
            let length = socket.read(&mut packet)?;
            // Before an answer of IPv4 is its IP header.
            let start = if to.is_ipv4() { 20 } else { 0 };
            let got = packet.get(start..length).unwrap_or_default();
            if got.first() == Some(&answer) && got.get(4..) == message(request).get(4..) {
                return Ok(());
            }
        }
        Err(DialError::Silent)
    }
}

/// The checksum of one of IPv6 is the kernel's to write.
fn message(kind: u8) -> Vec<u8> {
    let head = u16::from_be_bytes([kind, 0]);
    let sum = WORDS
        .iter()
        .fold(u32::from(head), |sum, word| sum + u32::from(*word));
    let [_, carry, high, low] = sum.to_be_bytes();
    let checksum = !(u16::from_be_bytes([high, low]) + u16::from(carry));
    let words = [head, checksum].into_iter().chain(WORDS);
    words.flat_map(u16::to_be_bytes).collect()
}
