//! The client's side of a stream, without I/O.

mod status;

pub use status::{Change, RejectReason, Rejection, SessionStatus, TopicDigest};
