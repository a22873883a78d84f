//! The kernel's netlink socket.

use std::{fmt, io};

use netlink_sys::{
    Socket, SocketAddr,
    protocols::{NETLINK_GENERIC, NETLINK_NETFILTER, NETLINK_ROUTE},
};
use nix::sys::socket::{setsockopt, sockopt::SndBufForce};
use socket2::SockRef;

use crate::Transport;

/// Room for answers, in bytes; the kernel doubles it for its overhead, and gives less where `net.core.rmem_max` says so.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// What the kernel keeps of the send buffer for itself, and a little more.
const SEND_OVERHEAD: usize = 64;

/// A netlink socket, connected to the kernel.
pub struct KernelSocket {
    socket: Socket,
    /// How long a datagram may be, in bytes.
    send_limit: usize,
    receive_limit: usize,
}

impl KernelSocket {
    /// One for generic netlink, in the network namespace of the calling thread. So is each of these.
    pub fn generic() -> io::Result<Self> {
        Self::open(NETLINK_GENERIC)
    }

    /// One for netfilter.
    pub fn netfilter() -> io::Result<Self> {
        Self::open(NETLINK_NETFILTER)
    }

    /// One for links, addresses and routes. Lists are filtered by the kernel, where it can (Linux 4.20).
    pub fn route() -> io::Result<Self> {
        let socket = Self::open(NETLINK_ROUTE)?;
        match socket.socket.set_netlink_get_strict_chk(true) {
            Err(error) if error.raw_os_error() != Some(libc::ENOPROTOOPT) => Err(error),
            Ok(()) | Err(_) => Ok(socket),
        }
    }

    fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        // From then on nobody but the kernel can send to it.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        let buffers = SockRef::from(&socket);
        buffers.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let send_limit = buffers.send_buffer_size()?.saturating_sub(SEND_OVERHEAD);
        let receive_limit = buffers.recv_buffer_size()?;
        Ok(Self {
            socket,
            send_limit,
            receive_limit,
        })
    }

    /// Makes room for a datagram. It is a limit only; no memory is kept for it.
    fn reserve(&mut self, length: usize) -> io::Result<()> {
        if length <= self.send_limit {
            return Ok(());
        }
        let wanted = length.saturating_add(SEND_OVERHEAD);
        // Past `net.core.wmem_max` it takes CAP_NET_ADMIN in the initial user namespace.
        if setsockopt(&self.socket, SndBufForce, &wanted).is_err() {
            SockRef::from(&self.socket).set_send_buffer_size(wanted)?;
        }
        let granted = SockRef::from(&self.socket).send_buffer_size()?;
        self.send_limit = granted.saturating_sub(SEND_OVERHEAD);
        Ok(())
    }
}

impl Transport for KernelSocket {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.reserve(datagram.len())?;
        loop {
            match self.socket.send(datagram, 0) {
                Ok(_all) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn receive(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(&mut buffer, libc::MSG_TRUNC)
    }

    fn send_limit(&self) -> usize {
        self.send_limit
    }

    fn receive_limit(&self) -> usize {
        self.receive_limit
    }
}

impl fmt::Debug for KernelSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelSocket")
            .field("send_limit", &self.send_limit)
            .field("receive_limit", &self.receive_limit)
            .finish_non_exhaustive()
    }
}
