//! The codec by itself, without a socket: requests to bytes, bytes to answers.
//!
//! ```text
//! Change, Query ──encode──> bytes ──> kernel ──> datagram ──Messages──> Message ──Answer::decode──> Answer
//! ```
//!
//! For those who have a netlink socket of their own, and for tests. Layout and numbers are those of the kernel's
//! `include/uapi/linux/ip_vs.h`, `genetlink.h` and `netlink.h`, in the machine's own byte order; ports and addresses are
//! in network byte order. Whatever the bytes, decoding ends: with a value or with [`Malformed`], never with a panic, in
//! time linear in their number, and with nothing kept but the value.
//!
//! ```
//! use meshlite_ipvs::{Query, codec::{self, Answer, Body, Header, Messages}};
//!
//! let mut request = Vec::new();
//! Query::Info.encode(Header { family: 0x1c, sequence: 7, acknowledge: false }, &mut request);
//! assert_eq!(request.len(), 20);
//!
//! # let datagram: &[u8] = &[];
//! for message in Messages::of(datagram) {
//!     if let Body::Data(payload) = message?.body {
//!         let _answer: Answer = Answer::decode(payload)?;
//!     }
//! }
//! # Ok::<(), codec::Malformed>(())
//! ```

mod decode;
mod encode;
mod message;
mod read;
mod uapi;
mod write;

pub use decode::{Answer, decode_family};
pub use encode::{Header, encode_find_family};
pub use message::{Body, Message, Messages};

/// No request that this crate writes is longer than this, in bytes.
pub const MAX_REQUEST: usize = 256;

/// Why bytes are no answer of IPVS.
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
    /// An attribute that should be text is none.
    #[error("attribute {attribute} is not text")]
    Text {
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
    /// A message of a command that answers nothing.
    #[error("command {0} is no answer")]
    Command(u8),
    /// An answer to another question than was asked.
    #[error("the answer is to another question")]
    Unasked,
}

impl Malformed {
    fn cut(length: usize, left: usize) -> Self {
        Self::Cut { length, left }
    }
}

#[cfg(test)]
mod tests;
