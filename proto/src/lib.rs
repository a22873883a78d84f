//! How a snapshot travels.
//!
//! ```text
//! Resource ─> encode ─> frames ─> chunks ═gRPC═> session ─> decode ─> Commit ─> a data plane ─> ACK
//! ```
//!
//! Input: resources of `meshlite-snapshot` on the server's side, a stream of messages on the client's.
//! Output: bytes with content-hash versions, and on the other side whole commits that are proved complete.

pub mod v1;
