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

pub use meshlite_netlink::Malformed;
