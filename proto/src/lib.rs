//! How a snapshot travels.
//!
//! ```text
//! Resource ─> encode ─> frames ─> chunks ═gRPC═> session ─> decode ─> Commit ─> a data plane ─> ACK
//! ```
//!
//! Input: resources of `meshlite-snapshot` on the server's side, a stream of messages on the client's.
//! Output: bytes with content-hash versions, and on the other side whole commits that are proved complete.

#[cfg(test)]
mod arbitrary;
pub mod cache;
pub mod connect;
pub mod decode;
pub mod encode;
pub mod frame;
mod inflate;
pub mod installed;
#[cfg(test)]
mod model;
pub mod session;
pub mod standing;
pub mod subscribe;
#[cfg(test)]
mod testing;
pub mod v1;
