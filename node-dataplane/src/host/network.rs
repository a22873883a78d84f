//! Links, addresses, and `local` routes.

mod codec;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::IpAddr};

use meshlite_netlink::{Ask, Error, Exchange, KernelSocket};

use self::codec::{Message, write};
use super::{HostError, Undone};

/// The number of the loopback link in every network namespace.
pub(crate) const LOOPBACK: u32 = 1;
/// What marks our `local` routes among all routes, as `proto` in `ip route`: no routing daemon has this number.
pub(crate) const LOCAL_ROUTE_PROTOCOL: u8 = 109;

/// A link, or interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number in the network namespace.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// Whether it is set up. A link that is down takes addresses, and no routes.
    pub(crate) is_up: bool,
}

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkAddress {
    /// The number of the link.
    pub(crate) link: u32,
    /// The address.
    pub(crate) address: IpAddr,
    /// Length of the network's prefix, in bits.
    pub(crate) prefix: u8,
}

/// The handle on links, addresses and routes.
#[derive(Debug)]
pub(crate) struct Network {
    exchange: Exchange<KernelSocket>,
}

impl Network {
    /// Those of the network namespace of the calling thread.
    pub(crate) fn connect() -> Result<Self, HostError> {
        let socket = KernelSocket::route()?;
        Ok(Self {
            exchange: Exchange::new(socket),
        })
    }

    /// The link of a name.
    pub(crate) fn link(&mut self, name: &str) -> Result<Option<Link>, HostError> {
        let ask =
            |sequence, out: &mut Vec<u8>| write(&Message::GetLink { name }, sequence, false, out);
        match self.exchange.get(ask, codec::link) {
            Ok(link) => Ok(Some(link)),
            Err(Error::Refused(refusal)) if refusal.errno == libc::ENODEV => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The link of a name, which is made where it is not there: a dummy that is down and does no ARP. So it takes
    /// addresses without anybody asking who has them, and thousands of them in far less time than one that is up.
    pub(crate) fn ensure_dummy(&mut self, name: &str) -> Result<Link, HostError> {
        if let Some(link) = self.link(name)? {
            return Ok(link);
        }
        let undone = self.change(vec![Message::AddDummy { name }], &[libc::EEXIST])?;
        if let Some(Undone { error, .. }) = undone.into_iter().next() {
            return Err(error);
        }
        let link = self.link(name)?;
        link.ok_or_else(|| Error::Refused(meshlite_netlink::Refusal::of(libc::ENODEV)).into())
    }

    /// Removes a link, with all of its addresses. Says whether it was there.
    pub(crate) fn remove_link(&mut self, name: &str) -> Result<bool, HostError> {
        let Some(link) = self.link(name)? else {
            return Ok(false);
        };
        let removal = Message::RemoveLink { index: link.index };
        match self.change(vec![removal], &[libc::ENODEV])?.pop() {
            None => Ok(true),
            Some(Undone { error, .. }) => Err(error),
        }
    }

    /// The addresses of all links.
    pub(crate) fn addresses(&mut self) -> Result<Vec<LinkAddress>, HostError> {
        let list =
            |sequence, out: &mut Vec<u8>| write(&Message::ListAddresses, sequence, false, out);
        let take = |payload: &[u8], addresses: &mut Vec<LinkAddress>| {
            addresses.extend(codec::address(payload)?);
            Ok(())
        };
        Ok(self.exchange.list(list, take)?)
    }

    /// Gives addresses to a link, each of its own network. One that it has already is done.
    pub(crate) fn add_addresses(
        &mut self,
        link: u32,
        addresses: &[IpAddr],
    ) -> Result<Vec<Undone>, HostError> {
        let message = |&address| Message::AddAddress { link, address };
        self.change(addresses.iter().map(message).collect(), &[libc::EEXIST])
    }

    /// Takes addresses from a link. One that it has not is done.
    pub(crate) fn remove_addresses(
        &mut self,
        link: u32,
        addresses: &[IpAddr],
    ) -> Result<Vec<Undone>, HostError> {
        let message = |&address| Message::RemoveAddress { link, address };
        let done = [libc::EADDRNOTAVAIL, libc::ENODEV];
        self.change(addresses.iter().map(message).collect(), &done)
    }

    /// Our `local` routes: the addresses that are this node's by them.
    pub(crate) fn local_routes(&mut self) -> Result<BTreeSet<IpAddr>, HostError> {
        let mut routes = BTreeSet::new();
        // One family after the other: for both at once, the kernel refuses to filter.
        for family in [libc::AF_INET, libc::AF_INET6] {
            let message = Message::ListLocalRoutes { family };
            let list = |sequence, out: &mut Vec<u8>| write(&message, sequence, false, out);
            let take = |payload: &[u8], found: &mut Vec<IpAddr>| {
                found.extend(codec::local_route(payload)?);
                Ok(())
            };
            match self.exchange.list(list, take) {
                Ok(found) => routes.extend(found),
                // Before a network namespace has its first address there is no such table.
                Err(Error::Refused(refusal)) if refusal.errno == libc::ENOENT => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(routes)
    }

    /// Makes addresses this node's by a `local` route each, over a link that is up. One that is there already, whoever
    /// made it, is done.
    pub(crate) fn add_local_routes(
        &mut self,
        link: u32,
        addresses: &[IpAddr],
    ) -> Result<Vec<Undone>, HostError> {
        let message = |&address| Message::AddLocalRoute { link, address };
        self.change(addresses.iter().map(message).collect(), &[libc::EEXIST])
    }

    /// Removes our `local` routes to addresses, and no others. One that is not there is done.
    pub(crate) fn remove_local_routes(
        &mut self,
        addresses: &[IpAddr],
    ) -> Result<Vec<Undone>, HostError> {
        let message = |&address| Message::RemoveLocalRoute { address };
        self.change(addresses.iter().map(message).collect(), &[libc::ESRCH])
    }

    /// Makes changes in their order, many in one send. Those that are refused with an error number of `done` are done.
    fn change(
        &mut self,
        changes: Vec<Message<'_>>,
        done: &[i32],
    ) -> Result<Vec<Undone>, HostError> {
        let encode = |message: &Message<'_>, ask: Ask, out: &mut Vec<u8>| {
            // None is longer than netlink can say: names are cut by the codec.
            write(message, ask.sequence, ask.acknowledge, out).unwrap_or_default();
        };
        let failures = self.exchange.apply(changes, encode)?;
        let undone = failures
            .into_iter()
            .filter_map(|(index, _, error)| match &error {
                Error::Refused(refusal) if done.contains(&refusal.errno) => None,
                _ => Some(Undone {
                    index,
                    error: error.into(),
                }),
            });
        Ok(undone.collect())
    }
}
