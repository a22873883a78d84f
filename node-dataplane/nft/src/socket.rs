//! The kernel's netlink socket.

use std::{fmt, io};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::sys::socket::{setsockopt, sockopt::SndBufForce};
use socket2::SockRef;

use crate::{Error, Refusal, exchange::Transport};

/// Room for answers, in bytes; the kernel doubles it for its overhead, and gives less where `net.core.rmem_max` says so.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// What the kernel keeps of the send buffer for itself, and a little more.
const SEND_OVERHEAD: usize = 64;

/// A netlink socket, connected to the kernel.
pub(crate) struct KernelSocket {
    socket: Socket,
    /// How long a datagram may be, in bytes.
    send_limit: usize,
}

impl KernelSocket {
    /// Opens one in the network namespace of the calling thread.
    pub(crate) fn open() -> Result<Self, Error> {
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(unsupported)?;
        socket.bind_auto()?;
        // From then on nobody but the kernel can send to it.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        let buffers = SockRef::from(&socket);
        buffers.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let send_limit = buffers.send_buffer_size()?.saturating_sub(SEND_OVERHEAD);
        Ok(Self { socket, send_limit })
    }

    /// Makes room for a datagram: a transaction is one. It is a limit only; no memory is kept for it.
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

/// A kernel without netlink or its netfilter kind has no nftables either.
fn unsupported(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno @ (libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT)) => {
            Error::NotSupported(Refusal {
                errno,
                message: None,
            })
        }
        _ => error.into(),
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
}

impl fmt::Debug for KernelSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelSocket")
            .field("send_limit", &self.send_limit)
            .finish_non_exhaustive()
    }
}
