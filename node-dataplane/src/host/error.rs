//! Why the kernel did not do what the node needs, by what to do about it.

use meshlite_netlink::{Error, Refusal};

/// Why something about the host could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// The process lacks `CAP_NET_ADMIN` in the user namespace that has the network namespace.
    #[error("links, routes and connections may only be changed with CAP_NET_ADMIN: {0}")]
    NoPermission(Refusal),
    /// The kernel has no such kind of link, or no connection tracking: its module is not loaded.
    #[error(
        "the kernel has none of this: {0}; are the modules dummy and nf_conntrack_netlink loaded?"
    )]
    NotSupported(Refusal),
    /// The link is not there, or no longer.
    #[error("the link is not there: {0}")]
    NoSuchLink(Refusal),
    /// The conversation failed, or the kernel refused for another reason.
    #[error(transparent)]
    Netlink(Error),
}

/// One of many things that was not done.
#[derive(Debug)]
pub(crate) struct Undone {
    /// Its place among those that were to be done, from 0.
    pub(crate) index: usize,
    /// Why.
    pub(crate) error: HostError,
}

impl From<Error> for HostError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => match refusal.errno {
                libc::EPERM | libc::EACCES => Self::NoPermission(refusal),
                libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT => {
                    Self::NotSupported(refusal)
                }
                libc::ENODEV => Self::NoSuchLink(refusal),
                _ => Self::Netlink(Error::Refused(refusal)),
            },
            error => Self::Netlink(error),
        }
    }
}

impl From<std::io::Error> for HostError {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno @ (libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT)) => {
                Self::NotSupported(Refusal::of(errno))
            }
            _ => Self::Netlink(error.into()),
        }
    }
}
