//! The kernel's netlink socket.

use std::{fmt, io};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use socket2::SockRef;

use crate::{Error, Refusal, exchange::Transport};

/// Room for answers, in bytes; the kernel doubles it for its overhead, and gives less where `net.core.rmem_max` says so.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// What the kernel keeps of the send buffer for itself, and a little more.
const SEND_OVERHEAD: usize = 64;

/// A netlink socket, connected to the kernel.
pub(crate) struct KernelSocket {
    socket: Socket,
    send_limit: usize,
    receive_limit: usize,
}

impl KernelSocket {
    /// Opens one in the network namespace of the calling thread.
    pub(crate) fn open() -> Result<Self, Error> {
        let mut socket = Socket::new(NETLINK_GENERIC).map_err(unsupported)?;
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
}

/// A kernel without netlink or its generic kind has no IPVS either.
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
