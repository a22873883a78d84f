//! The handle on the kernel's IPVS.

use std::{borrow::Borrow, io};

use meshlite_netlink::{KernelSocket, Refusal};

use crate::{
    Change, DestinationEntry, Error, Failure, Info, Query, ServiceEntry, ServiceKey, Timeouts,
    codec::{Answer, Malformed},
    exchange::Exchange,
};

/// IPVS of one network namespace: that which the thread was in when it called [`connect`](Self::connect).
///
/// Nothing here waits: the kernel does all work within the system calls. What takes time is the processor's, so an
/// asynchronous program calls from a thread for blocking work, or from one of its own. Several handles work side by
/// side; the kernel makes one change at a time.
#[derive(Debug)]
pub struct Ipvs {
    exchange: Exchange<KernelSocket>,
}

impl Ipvs {
    /// Finds the kernel's IPVS. [`Error::NotSupported`] where there is none: load the module `ip_vs` first.
    pub fn connect() -> Result<Self, Error> {
        let exchange = Exchange::begin(KernelSocket::generic().map_err(unsupported)?)?;
        Ok(Self { exchange })
    }

    /// Makes changes in their order, as many as are given: a few hundred in each send.
    ///
    /// A change that fails stops no other. The result names those that failed, by their places; an empty one says that all
    /// were made. An `Err` says that the socket failed and how far it got is unknown. There is no transaction: between
    /// two changes, packets and other programs see one made and the other not.
    ///
    /// The kernel keeps deleted destinations for two minutes or so, and looks through all of them when one is added. So to
    /// delete thousands and add them again takes far longer than to change what differs.
    ///
    /// ```no_run
    /// # use meshlite_ipvs::*;
    /// # fn f(service: Service, destination: Destination) -> Result<(), Error> {
    /// let mut ipvs = Ipvs::connect()?;
    /// let changes = [
    ///     Change::AddService(service),
    ///     Change::AddDestination(service.key, destination),
    /// ];
    /// for Failure { index, error } in ipvs.apply(changes)? {
    ///     eprintln!("change {index}: {error}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply(
        &mut self,
        changes: impl IntoIterator<Item = impl Borrow<Change>>,
    ) -> Result<Vec<Failure>, Error> {
        self.exchange.apply(changes)
    }

    /// Makes one change.
    pub fn change(&mut self, change: Change) -> Result<(), Error> {
        match self.apply([change])?.pop() {
            None => Ok(()),
            Some(failure) => Err(failure.error),
        }
    }

    /// Version of IPVS, and size of its table of connections.
    pub fn info(&mut self) -> Result<Info, Error> {
        match self.exchange.get(Query::Info)? {
            Answer::Info(info) => Ok(info),
            _ => Err(Malformed::Unasked.into()),
        }
    }

    /// How long idle connections are kept.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        match self.exchange.get(Query::Timeouts)? {
            Answer::Timeouts(timeouts) => Ok(timeouts),
            _ => Err(Malformed::Unasked.into()),
        }
    }

    /// One service. [`Error::NotThere`] where there is none.
    pub fn service(&mut self, key: ServiceKey) -> Result<ServiceEntry, Error> {
        match self.exchange.get(Query::Service(key))? {
            Answer::Service(service) => Ok(service),
            _ => Err(Malformed::Unasked.into()),
        }
    }

    /// All services, by their keys.
    ///
    /// The kernel does not freeze its table meanwhile, and counts positions in a table that all network namespaces share:
    /// a service that anybody adds during the call can come twice, which this mends, and one that anybody deletes, in
    /// another namespace even, can make another missing, of which nobody can know. Who adds what is missing has to
    /// take [`Error::Exists`] for an answer.
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let mut services = self.exchange.list(Query::Services, |answer| match answer {
            Answer::Service(service) => Some(service),
            _ => None,
        })?;
        services.sort_by_key(|entry| entry.service.key);
        services.dedup_by_key(|entry| entry.service.key);
        Ok(services)
    }

    /// The destinations of a service, by their keys. None, too, where there is no such service: the kernel does not tell
    /// the two apart. What [`services`](Self::services) says of changes during the call goes for those of this service.
    pub fn destinations(&mut self, service: ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        let query = Query::Destinations(service);
        let mut destinations = self.exchange.list(query, |answer| match answer {
            Answer::Destination(destination) => Some(destination),
            _ => None,
        })?;
        destinations.sort_by_key(|entry| entry.destination.key);
        destinations.dedup_by_key(|entry| entry.destination.key);
        Ok(destinations)
    }
}

/// A kernel without netlink or its generic kind has no IPVS either.
fn unsupported(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno @ (libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT)) => {
            Error::NotSupported(Refusal::of(errno))
        }
        _ => error.into(),
    }
}
