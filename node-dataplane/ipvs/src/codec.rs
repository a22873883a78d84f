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
mod uapi;

pub use decode::{Answer, decode_family};
pub use encode::{Header, encode_find_family};
pub use meshlite_netlink::{Body, MAX_REQUEST, Malformed, Message, Messages};

#[cfg(test)]
mod tests;
