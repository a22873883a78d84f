//! A port of the loopback that stays ours while its server is down.

use std::{io, net::SocketAddr};

use socket2::{Domain, Socket, Type};

/// A bound socket that never listens. A server that sets `SO_REUSEADDR`, as all of Go's do, can listen beside it, but the
/// system gives the port to nobody else: a stopped API server comes back where its clients look for it.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    _held: Socket,
    number: u16,
}

impl ReservedPort {
    pub(crate) fn new() -> io::Result<Self> {
        let held = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        held.set_reuse_address(true)?;
        held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        let address = held.local_addr()?.as_socket();
        let number = address
            .map(|a| a.port())
            .ok_or_else(|| io::Error::other("the socket has no address"))?;
        Ok(Self {
            _held: held,
            number,
        })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}
