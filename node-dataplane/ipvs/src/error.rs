//! What can go wrong, by what to do about it.

use std::io;

use meshlite_netlink::{Malformed, Refusal};

/// Why the kernel did not do what it was asked to. Each variant is another thing to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such service, or the service has no such destination. It was deleted already, or never added.
    #[error("there is no such virtual service or destination: {0}")]
    NotThere(Refusal),
    /// What was to be added is there already: edit it.
    #[error("the virtual service or destination is there already: {0}")]
    Exists(Refusal),
    /// The kernel has no such scheduler, or no such persistence engine where the service names one, and could not load
    /// its module: choose another, or load `ip_vs_<scheduler>`.
    #[error(
        "the kernel has no such scheduler or persistence engine: {0}; is its module installed?"
    )]
    NoSuchScheduler(Refusal),
    /// The kernel does not take the values: asking again is of no use.
    #[error("the kernel does not take these values: {0}")]
    Invalid(Refusal),
    /// The process lacks `CAP_NET_ADMIN` in the *initial* user namespace; one of a user namespace's own is not enough.
    #[error(
        "IPVS may only be changed and read with CAP_NET_ADMIN in the initial user namespace: {0}"
    )]
    NoPermission(Refusal),
    /// The kernel has no IPVS, or not for this family of addresses or protocol: load `ip_vs`, or do without. Also where
    /// the module was unloaded after [`connect`](crate::Ipvs::connect).
    #[error("the kernel has no IPVS for this: {0}; is the module ip_vs loaded?")]
    NotSupported(Refusal),
    /// Somebody else is at it, or the kernel is short of memory: ask again a little later.
    #[error("the kernel could not do it just now: {0}")]
    Busy(Refusal),
    /// What the kernel says is of none of these kinds.
    #[error("the kernel refused: {0}")]
    Refused(Refusal),
    /// The kernel's answer was lost: the socket's receive buffer ran over. Whether the change was made is unknown: read
    /// what is there, and go on from that; if that fails so too, connect again.
    #[error("the kernel's answer was lost, so what it did is unknown; read the table again")]
    Lost,
    /// What was being listed changed all the while, several times over: ask again a little later.
    #[error("the table changed while it was read, {0} times in a row")]
    Interrupted(u32),
    /// The kernel's answer does not read as IPVS's answers do. What was asked for may have been done.
    #[error("the kernel's answer makes no sense: {0}")]
    Malformed(#[from] Malformed),
    /// The socket itself failed: connect again. What was asked for may have been done.
    #[error("the netlink socket failed: {0}")]
    Socket(#[from] io::Error),
}

/// A change that was not made.
#[derive(Debug)]
pub struct Failure {
    /// Its place among the changes that were asked for, from 0 on.
    pub index: usize,
    /// Why.
    pub error: Error,
}

/// What the kernel's `ENOENT` means in answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// A scheduler or a persistence engine.
    Scheduler,
    /// A destination.
    Destination,
    /// Nothing that the request names can be missing so: it is the IPVS family itself.
    Family,
}

impl Error {
    /// Sorts what went wrong in a conversation.
    pub(crate) fn from_netlink(error: meshlite_netlink::Error, not_found: NotFound) -> Self {
        use meshlite_netlink::Error;
        match error {
            Error::Refused(refusal) => Self::of(refusal, not_found),
            Error::Lost => Self::Lost,
            Error::Interrupted(tries) => Self::Interrupted(tries),
            // No request of IPVS is that long.
            Error::TooLarge => Self::Socket(io::ErrorKind::InvalidInput.into()),
            Error::Busy(refusal) => Self::Busy(refusal),
            Error::Malformed(malformed) => Self::Malformed(malformed),
            Error::Socket(error) => Self::Socket(error),
        }
    }

    /// Sorts a refusal by what to do about it.
    pub(crate) fn of(refusal: Refusal, not_found: NotFound) -> Self {
        match refusal.errno {
            libc::ENOENT => match not_found {
                NotFound::Scheduler => Self::NoSuchScheduler(refusal),
                NotFound::Destination => Self::NotThere(refusal),
                NotFound::Family => Self::NotSupported(refusal),
            },
            libc::ESRCH => Self::NotThere(refusal),
            libc::EEXIST => Self::Exists(refusal),
            libc::EINVAL | libc::ERANGE => Self::Invalid(refusal),
            libc::EPERM | libc::EACCES => Self::NoPermission(refusal),
            libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ENOPROTOOPT => {
                Self::NotSupported(refusal)
            }
            libc::EBUSY | libc::EAGAIN | libc::EINTR | libc::ENOMEM | libc::ENOBUFS => {
                Self::Busy(refusal)
            }
            _ => Self::Refused(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enoent_is_told_apart_by_what_was_asked() {
        let refusal = Refusal::of(libc::ENOENT);
        let of = |not_found| Error::of(refusal.clone(), not_found);
        assert!(matches!(of(NotFound::Scheduler), Error::NoSuchScheduler(_)));
        assert!(matches!(of(NotFound::Destination), Error::NotThere(_)));
        assert!(matches!(of(NotFound::Family), Error::NotSupported(_)));
    }

    #[test]
    fn the_kernels_words_are_part_of_the_message() {
        let refusal = Refusal {
            errno: libc::EINVAL,
            message: Some("bad attribute".into()),
            offset: None,
        };
        let text = Error::of(refusal, NotFound::Family).to_string();
        assert!(
            text.contains("Invalid argument") && text.contains("bad attribute"),
            "{text}"
        );
    }
}
