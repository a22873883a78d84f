//! What can go wrong, by what to do about it.

use std::{fmt, io};

use meshlite_netlink::{Malformed, Refusal};

/// Why the kernel did not do what it was asked to. Each variant is another thing to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody changed the ruleset since the [generation](crate::Generation) that the transaction was made for: read
    /// it again, and make another one.
    #[error(
        "the ruleset is no longer of the generation that the change was made for; read it again"
    )]
    Conflict,
    /// There is no such table, chain, rule, set or element, or one that this one refers to is not there.
    #[error("it, or what it refers to, is not there: {0}")]
    NotThere(Refusal),
    /// What was to be added is there already, and is another; or a range lies across another range.
    #[error("it is there already, and is another: {0}")]
    Exists(Refusal),
    /// Others refer to what was to be deleted; or what was to be added is there already, and is another.
    #[error("others refer to it: {0}")]
    InUse(Refusal),
    /// The set has no room for more elements: make a larger one.
    #[error("the set is full: {0}")]
    Full(Refusal),
    /// The kernel does not take the values: asking again is of no use.
    #[error("the kernel does not take these values: {0}")]
    Invalid(Refusal),
    /// The transaction, or an object in it, is longer than what netlink or the socket takes: split it.
    #[error("it is too large for a netlink message or the socket's send buffer; split it")]
    TooLarge,
    /// The process lacks `CAP_NET_ADMIN` in the user namespace that has the network namespace.
    #[error("nftables may only be changed and read with CAP_NET_ADMIN: {0}")]
    NoPermission(Refusal),
    /// The kernel has no nftables, or not this expression or kind of chain or set: do without.
    #[error("the kernel has no nftables, or not this part of it: {0}")]
    NotSupported(Refusal),
    /// The kernel is short of memory, or somebody else is at it: ask again a little later.
    #[error("the kernel could not do it just now: {0}")]
    Busy(Refusal),
    /// What the kernel says is of none of these kinds.
    #[error("the kernel refused: {0}")]
    Refused(Refusal),
    /// The kernel's answer was lost: the socket's receive buffer ran over. Whether the transaction was made is unknown:
    /// read what is there, and go on from that.
    #[error("the kernel's answer was lost, so what it did is unknown; read the ruleset again")]
    Lost,
    /// What was being listed changed all the while, several times over: ask again a little later.
    #[error("the ruleset changed while it was read, {0} times in a row")]
    Interrupted(u32),
    /// The kernel's answer does not read as those of nftables do. What was asked for may have been done.
    #[error("the kernel's answer makes no sense: {0}")]
    Malformed(#[from] Malformed),
    /// The socket itself failed: connect again. What was asked for may have been done.
    #[error("the netlink socket failed: {0}")]
    Socket(#[from] io::Error),
}

/// What in a transaction an error is about. Changes are counted from 0, in the order of the calls that put them there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// All of it.
    Whole,
    /// One change.
    Change(usize),
    /// One element of a change that adds or deletes several.
    Element {
        /// Which change.
        change: usize,
        /// Which of its elements, from 0.
        element: usize,
    },
}

/// One thing that is wrong with a transaction.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {error}")]
pub struct Failure {
    /// With what.
    pub place: Place,
    /// What.
    #[source]
    pub error: Error,
}

/// Why a transaction was not made: the first failure, and those that the kernel found after it.
///
/// Nothing of the transaction was done, unless the first is [`Error::Lost`], [`Error::Malformed`] or
/// [`Error::Socket`]: then it may have been done, all of it.
#[derive(Debug, thiserror::Error)]
#[error("the transaction was not made: {first}")]
pub struct Rejected {
    /// The first failure in the order of the transaction.
    #[source]
    pub first: Failure,
    /// Others, which the first may have caused.
    pub others: Vec<Failure>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the transaction"),
            Self::Change(change) => write!(f, "change {change}"),
            Self::Element { change, element } => write!(f, "change {change}, element {element}"),
        }
    }
}

impl From<meshlite_netlink::Error> for Error {
    fn from(error: meshlite_netlink::Error) -> Self {
        use meshlite_netlink::Error;
        match error {
            Error::Refused(refusal) => Self::of(refusal),
            Error::Lost => Self::Lost,
            Error::Interrupted(tries) => Self::Interrupted(tries),
            Error::TooLarge => Self::TooLarge,
            Error::Busy(refusal) => Self::Busy(refusal),
            Error::Malformed(malformed) => Self::Malformed(malformed),
            Error::Socket(error) => Self::Socket(error),
        }
    }
}

impl Error {
    /// Sorts a refusal by what to do about it.
    pub(crate) fn of(refusal: Refusal) -> Self {
        match refusal.errno {
            libc::ERESTART => Self::Conflict,
            libc::ENOENT | libc::ESRCH => Self::NotThere(refusal),
            libc::EEXIST | libc::ENOTEMPTY => Self::Exists(refusal),
            libc::EBUSY => Self::InUse(refusal),
            libc::ENFILE | libc::ENOSPC => Self::Full(refusal),
            libc::EINVAL | libc::ERANGE | libc::ELOOP | libc::EMLINK | libc::E2BIG => {
                Self::Invalid(refusal)
            }
            libc::EMSGSIZE => Self::TooLarge,
            libc::EPERM | libc::EACCES => Self::NoPermission(refusal),
            libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ENOPROTOOPT => {
                Self::NotSupported(refusal)
            }
            libc::EAGAIN | libc::EINTR | libc::ENOMEM | libc::ENOBUFS => Self::Busy(refusal),
            _ => Self::Refused(refusal),
        }
    }

    /// Says that all of a transaction failed for this.
    pub(crate) fn of_all(self) -> Rejected {
        Rejected {
            first: Failure {
                place: Place::Whole,
                error: self,
            },
            others: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_generation_is_a_conflict_and_want_of_memory_passes() {
        let of = |errno| Error::of(Refusal::of(errno));
        assert!(matches!(of(libc::ERESTART), Error::Conflict));
        assert!(matches!(of(libc::ENOMEM), Error::Busy(_)));
        assert!(matches!(of(libc::EBUSY), Error::InUse(_)));
        assert!(matches!(of(libc::EILSEQ), Error::Refused(_)));
    }

    #[test]
    fn a_refusal_reads_as_the_kernel_words_it() {
        let error = Error::of(Refusal {
            errno: libc::EINVAL,
            message: Some("chain policy is no verdict".into()),
            offset: None,
        });
        let text = error.to_string();
        assert!(text.contains("Invalid argument"), "{text}");
        assert!(text.ends_with(": chain policy is no verdict"), "{text}");
    }
}
