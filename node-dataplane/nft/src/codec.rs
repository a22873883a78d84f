//! Bytes: what is sent to the kernel, and what it answers.
//!
//! ```text
//! Transaction ──write──> bytes ──> kernel ──> datagram ──message──> payload ──read──> TableEntry, ChainEntry, …
//! ```
//!
//! Layout and numbers are those of the kernel's `include/uapi/linux/netlink.h`, `netfilter/nfnetlink.h` and
//! `netfilter/nf_tables.h`. Numbers in attributes are in network byte order but for headers and lengths. Whatever the
//! bytes, decoding ends: with a value or with [`Malformed`], never with a panic.

pub(crate) mod element;
mod expression;
pub(crate) mod message;
pub(crate) mod object;
pub(crate) mod read;
pub(crate) mod rule;
pub(crate) mod set;
#[cfg(test)]
mod tests;
pub(crate) mod uapi;
mod value;
pub(crate) mod write;

/// Why bytes are no answer of nftables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end before the message or attribute that they begin does.
    #[error("a message or attribute of {length} bytes has only {left} bytes")]
    Cut {
        /// Bytes it says it has.
        length: usize,
        /// Bytes there are.
        left: usize,
    },
    /// An attribute has a length that its kind does not have.
    #[error("attribute {attribute} has {length} bytes")]
    Size {
        /// Its name in the kernel's header.
        attribute: &'static str,
        /// Bytes of its value.
        length: usize,
    },
    /// An attribute that should be a name is none.
    #[error("attribute {attribute} is no name")]
    Name {
        /// Its name in the kernel's header.
        attribute: &'static str,
    },
    /// An attribute has a value that stands for nothing this crate knows.
    #[error("attribute {attribute} has the unknown value {value}")]
    Value {
        /// Its name in the kernel's header.
        attribute: &'static str,
        /// The value.
        value: u32,
    },
    /// An attribute is not there, and nothing can be said without it.
    #[error("attribute {0} is missing")]
    Missing(&'static str),
}
