//! Binds one port many times, once for each worker, and accepts.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Socket, TcpKeepalive, Type};
use tokio::{io::Interest, net};

use super::KEEPALIVE;

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// What a worker accepts from.
#[derive(Debug)]
pub(super) struct Listening {
    /// Watched as a stream is: the runtime's own listener would have it watch each connection that is accepted.
    socket: net::TcpStream,
    /// That of all its connections; none where each may have another.
    address: Option<SocketAddr>,
}

/// A connection that was accepted. Its socket does not block, and nobody watches it.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

impl Listening {
    pub(super) fn new(socket: TcpListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(Self {
            socket: net::TcpStream::from_std(OwnedFd::from(socket).into())?,
            address: (!address.ip().is_unspecified()).then_some(address),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        let accept = || {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            Ok(acceptfrom_with(&self.socket, flags)?)
        };
        let (socket, peer) = self.socket.async_io(Interest::READABLE, accept).await?;
        let socket = TcpStream::from(socket);
        let peer = peer.and_then(|peer| peer.try_into().ok());
        Ok(Accepted {
            peer: peer.ok_or(io::ErrorKind::ConnectionAborted)?,
            local: self.address.map_or_else(|| socket.local_addr(), Ok)?,
            socket,
        })
    }

    /// The same socket, once more.
    pub(super) fn share(&self) -> io::Result<TcpListener> {
        Ok(self.socket.as_fd().try_clone_to_owned()?.into())
    }
}

/// Binds `address` `count` times with `SO_REUSEPORT`. Port 0 takes a free one.
///
/// Another process that has the port is an error even if it shares it, for it would take half of the connections.
/// `is_ours` says that this process itself may have it.
pub(crate) fn bind(
    address: SocketAddr,
    count: usize,
    is_ours: bool,
) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    if address.port() != 0 && !is_ours {
        let probe = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        probe.set_reuse_address(true)?;
        set_family(&probe, address)?;
        probe.bind(&address.into())?;
        probe.listen(1)?;
    }
    let mut sockets = Vec::with_capacity(count);
    let mut bound = address;
    for _ in 0..count {
        let socket = listener(bound)?;
        bound = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok((bound, sockets))
}

/// `[::]` takes IPv4 clients too; any other IPv6 address is for IPv6 alone.
fn set_family(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    Ok(())
}

/// A listener whose accepted connections inherit its options.
fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    set_family(&socket, address)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:0";

    #[test]
    fn every_worker_gets_a_socket_on_the_same_port() {
        let (bound, sockets) = bind(LOOPBACK.parse().unwrap(), 3, false).unwrap();
        assert_eq!(sockets.len(), 3);
        assert!(
            sockets
                .iter()
                .all(|socket| socket.local_addr().unwrap() == bound)
        );
    }

    #[test]
    fn a_port_that_another_process_shares_is_in_use() {
        let (bound, _sockets) = bind(LOOPBACK.parse().unwrap(), 1, false).unwrap();
        let error = bind(bound, 1, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(bind(bound, 1, true).is_ok());
    }
}
