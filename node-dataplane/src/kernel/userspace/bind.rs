//! Sockets for virtual addresses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, UdpSocket as StdUdpSocket},
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

/// How long a silent connection goes unchecked, and how often it is checked then.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A TCP socket that is bound and does not listen yet.
pub(super) fn tcp(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = tcp_to(addr.ip())?;
    if addr.is_ipv6() {
        SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

/// The same socket, bound all the while, where another might find the address in use: connections are refused again, also
/// those that nobody has accepted yet. Linux takes a shutdown for the end of listening.
pub(super) fn no_listener(listener: TcpListener) -> io::Result<TcpSocket> {
    let socket = Socket::from(listener.into_std()?);
    socket.shutdown(Shutdown::Read)?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// A TCP socket for a connection to an address like this one.
pub(super) fn tcp_to(ip: IpAddr) -> io::Result<TcpSocket> {
    match ip {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    }
}

/// A bound UDP socket.
pub(super) fn udp(addr: SocketAddr) -> io::Result<UdpSocket> {
    open_udp(addr, None)
}

/// A UDP socket that sends to `peer` and hears only from there, so that the kernel reports whether anybody is there.
pub(super) fn udp_to(peer: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    open_udp(SocketAddr::new(any, 0), Some(peer))
}

fn open_udp(addr: SocketAddr, peer: Option<SocketAddr>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, None)?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    if let Some(peer) = peer {
        socket.connect(&peer.into())?;
    }
    UdpSocket::from_std(StdUdpSocket::from(socket))
}

/// Binds `addr`, or, where a port below 1024 is forbidden, that port plus `low_port_offset`. Says what it bound.
pub(super) fn or_above<S>(
    addr: SocketAddr,
    low_port_offset: Option<u16>,
    bind: impl Fn(SocketAddr) -> io::Result<S>,
) -> io::Result<(S, SocketAddr)> {
    let denied = match bind(addr) {
        Ok(socket) => return Ok((socket, addr)),
        Err(error) => error,
    };
    let above = low_port_offset.and_then(|offset| addr.port().checked_add(offset));
    match above {
        Some(port) if denied.kind() == io::ErrorKind::PermissionDenied && addr.port() < 1024 => {
            let above = SocketAddr::new(addr.ip(), port);
            Ok((bind(above)?, above))
        }
        _ => Err(denied),
    }
}

/// Small writes go out at once, and a peer that vanished is noticed.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Lets the peer see a reset, not an orderly end, once the stream is dropped.
pub(super) fn reset_on_drop(stream: &TcpStream) {
    let reset = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    if let Err(error) = reset {
        tracing::trace!(%error, "connection is closed without a reset");
    }
}

#[cfg(test)]
mod tests {
    use meshlite_snapshot::Protocol;

    use super::*;
    use crate::testing::{free_place, own_loopback};

    #[test]
    fn a_forbidden_low_port_is_bound_above() {
        let low: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let deny_low = |addr: SocketAddr| match addr.port() {
            0..1024 => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
            port => Ok(port),
        };
        let (port, bound) = or_above(low, Some(10_000), deny_low).unwrap();
        assert_eq!(
            (port, bound.to_string().as_str()),
            (10_080, "127.0.0.1:10080")
        );
        let error = or_above(low, None, deny_low).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[tokio::test]
    async fn an_address_is_kept_while_nobody_listens() {
        let place = free_place(own_loopback(), Protocol::Tcp);
        let place = place.frontend.socket_address();
        let bound = tcp(place).unwrap();
        let refusing = no_listener(bound.listen(1).unwrap()).unwrap();
        assert_eq!(refusing.local_addr().unwrap(), place);
        let refused = TcpStream::connect(place).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let _listener = refusing.listen(1).unwrap();
        TcpStream::connect(place).await.unwrap();
    }

    #[test]
    fn a_port_in_use_is_not_moved() {
        let used = |_| Err::<(), _>(io::Error::from(io::ErrorKind::AddrInUse));
        let error = or_above("127.0.0.1:80".parse().unwrap(), Some(10_000), used).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
