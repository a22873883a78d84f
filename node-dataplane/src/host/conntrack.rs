//! Connections that the kernel keeps track of: those that stand in the way of new endpoints are found and deleted.

mod codec;
mod stale;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use meshlite_netlink::{Ask, Error, Exchange, KernelSocket};
use meshlite_snapshot::Protocol;

pub(crate) use self::stale::Serving;
use super::HostError;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tuple {
    /// Who sends.
    pub(crate) source: SocketAddr,
    /// To whom.
    pub(crate) destination: SocketAddr,
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    /// Transport protocol.
    pub(crate) protocol: Protocol,
    /// As its first packet came.
    pub(crate) original: Tuple,
    /// As answers are expected: from the endpoint, where the destination was changed to one.
    pub(crate) reply: Tuple,
    /// Something was sent back.
    pub(crate) is_answered: bool,
    /// Which of the tables that share addresses; 0 but for some networks with overlapping ones.
    pub(crate) zone: u16,
    /// The kernel's number for it: another connection with the same addresses has another.
    id: u32,
}

/// The handle on connection tracking.
#[derive(Debug)]
pub(crate) struct Conntrack {
    exchange: Exchange<KernelSocket>,
}

impl Conntrack {
    /// That of the network namespace of the calling thread.
    pub(crate) fn connect() -> Result<Self, HostError> {
        let socket = KernelSocket::netfilter()?;
        Ok(Self {
            exchange: Exchange::new(socket),
        })
    }

    /// The connections of these protocols. Others that come and go meanwhile may make some missing: those are found the
    /// next time.
    pub(crate) fn flows(&mut self, protocols: &[Protocol]) -> Result<Vec<Flow>, HostError> {
        let take = |payload: &[u8], flows: &mut Vec<Flow>| {
            let flow = codec::flow(payload)?;
            flows.extend(flow.filter(|flow| protocols.contains(&flow.protocol)));
            Ok(())
        };
        Ok(self.exchange.list_once(codec::write_list, take)?.values)
    }

    /// Deletes connections, and says how many it deleted: those that ended meanwhile are not counted. A packet of one
    /// that comes later begins another.
    pub(crate) fn delete(&mut self, flows: &[Flow]) -> Result<usize, HostError> {
        let encode = |flow: &&Flow, ask: Ask, out: &mut Vec<u8>| {
            // It is far shorter than netlink can say.
            codec::write_delete(flow, ask, out).unwrap_or_default();
        };
        let mut deleted = flows.len();
        for (_, _, error) in self.exchange.apply(flows, encode)? {
            match error {
                Error::Refused(refusal) if refusal.errno == libc::ENOENT => deleted -= 1,
                error => return Err(error.into()),
            }
        }
        Ok(deleted)
    }
}
