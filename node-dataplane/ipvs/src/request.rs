//! What the kernel can be asked for: changes, and questions.

use crate::{Destination, DestinationKey, Service, ServiceKey, Timeouts, error::NotFound};

/// One change of the table, which the kernel makes whole or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Adds a service without destinations. [`Exists`](crate::Error::Exists) where it is there.
    AddService(Service),
    /// Gives a service other settings; its destinations and connections stay. [`NotThere`](crate::Error::NotThere) where it is not.
    EditService(Service),
    /// Deletes a service and its destinations. [`NotThere`](crate::Error::NotThere) where it is not.
    DeleteService(ServiceKey),
    /// Adds a destination to a service. [`Exists`](crate::Error::Exists) where it is there.
    AddDestination(ServiceKey, Destination),
    /// Gives a destination other settings; its connections stay. [`NotThere`](crate::Error::NotThere) where it is not.
    EditDestination(ServiceKey, Destination),
    /// Deletes a destination. From then on the packets of its connections are dropped. [`NotThere`](crate::Error::NotThere) where it is not.
    DeleteDestination(ServiceKey, DestinationKey),
    /// Sets the timeouts of idle connections; 0 leaves one as it is.
    SetTimeouts(Timeouts),
    /// Sets the counters of a service and its destinations to zero.
    Zero(ServiceKey),
    /// Sets all counters to zero.
    ZeroAll,
    /// Deletes all services, whoever added them.
    Flush,
}

impl Change {
    /// What the kernel's `ENOENT` means in answer to it.
    pub(crate) fn not_found(&self) -> NotFound {
        match self {
            Self::AddService(_) | Self::EditService(_) => NotFound::Scheduler,
            Self::EditDestination(..) | Self::DeleteDestination(..) => NotFound::Destination,
            Self::DeleteService(_)
            | Self::AddDestination(..)
            | Self::SetTimeouts(_)
            | Self::Zero(_)
            | Self::ZeroAll
            | Self::Flush => NotFound::Family,
        }
    }
}

/// A question about the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// Version and size. Answered by [`Answer::Info`](crate::codec::Answer::Info).
    Info,
    /// The timeouts of idle connections. Answered by [`Answer::Timeouts`](crate::codec::Answer::Timeouts).
    Timeouts,
    /// One service. Answered by [`Answer::Service`](crate::codec::Answer::Service), or refused with `ESRCH`.
    Service(ServiceKey),
    /// All services. Answered by any number of [`Answer::Service`](crate::codec::Answer::Service).
    Services,
    /// The destinations of a service. Answered by any number of [`Answer::Destination`](crate::codec::Answer::Destination):
    /// by none, too, where there is no such service.
    Destinations(ServiceKey),
}

impl Query {
    /// Whether the answer is a list, of any length.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::Services | Self::Destinations(_))
    }
}
