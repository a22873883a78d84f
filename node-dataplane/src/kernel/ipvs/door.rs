//! What IPVS is asked, so that tests can make it fail.

use std::{borrow::Borrow, fmt};

use meshlite_ipvs::{Change, DestinationEntry, Error, Failure, Ipvs, ServiceEntry, ServiceKey};

/// The kernel's IPVS.
pub(super) trait Door: fmt::Debug + Sized + 'static {
    /// That of the network namespace of this thread.
    fn connect() -> Result<Self, Error>;

    /// Makes changes in their order, and tells which failed.
    fn apply(
        &mut self,
        changes: impl IntoIterator<Item = impl Borrow<Change>>,
    ) -> Result<Vec<Failure>, Error>;

    /// All virtual servers.
    fn services(&mut self) -> Result<Vec<ServiceEntry>, Error>;

    /// The real servers of one.
    fn destinations(&mut self, service: ServiceKey) -> Result<Vec<DestinationEntry>, Error>;
}

impl Door for Ipvs {
    fn connect() -> Result<Self, Error> {
        Self::connect()
    }

    fn apply(
        &mut self,
        changes: impl IntoIterator<Item = impl Borrow<Change>>,
    ) -> Result<Vec<Failure>, Error> {
        self.apply(changes)
    }

    fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        self.services()
    }

    fn destinations(&mut self, service: ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        self.destinations(service)
    }
}
