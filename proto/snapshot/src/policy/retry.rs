//! How often a request is tried, and after what.

use serde::Serialize;

/// How often a request is tried, each time at another endpoint where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// Tries in all; 1 for no retry. No more than there are endpoints.
    pub attempts: u32,
    /// After what.
    pub on: Vec<RetryOn>,
    /// No try begins later than this after the first, in milliseconds; none for any time.
    pub timeout_ms: Option<u32>,
    /// Requests that may do something twice (POST, PATCH, LOCK) are tried again after they were sent.
    pub non_idempotent: bool,
}

/// What a request is tried again after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RetryOn {
    /// No connection could be made.
    ConnectFailure,
    /// The connection was closed, or something that is no HTTP came, before a response.
    Reset,
    /// Nothing came in time.
    Timeout,
    /// A response with this status.
    Status(u16),
}
