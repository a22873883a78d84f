//! What all families of Linux netlink have alike.
//!
//! ```text
//! changes, questions ──Writer──> bytes ──> Exchange ──> Transport: kernel ──> Exchange ──Messages──> bytes ──Attributes──> values
//! ```
//!
//! Input: requests that a family's codec writes. Output: what the kernel answered, for that codec to read, and what became
//! of each change. [`Exchange`] asks, makes many changes in one send, and reads lists of any length; [`KernelSocket`] is
//! the socket that it does so on. What is read may be anything: it ends with a value or [`Malformed`], never with a panic.
//!
//! Layout and numbers are those of the kernel's `include/uapi/linux/netlink.h`: headers and lengths are in the machine's
//! own byte order, and of the numbers in attributes each family has its own habits.

mod attributes;
mod error;
mod exchange;
pub mod flags;
mod message;
mod socket;
#[cfg(test)]
mod tests;
mod write;

pub use attributes::{Attribute, Attributes, AttributesIter};
pub use error::{Error, Malformed, Refusal};
pub use exchange::{
    Ask, Exchange, LIST_TRIES, List, MAX_REQUEST, REFUSAL_BYTES, Received, Transport,
};
pub use message::{Body, Message, Messages};
pub use socket::KernelSocket;
pub use write::{Header, Overlong, Writer};
