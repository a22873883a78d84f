//! How many requests, and how large.

use ipnet::IpNet;
use serde::Serialize;

/// Limits, all of one client: an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Token buckets; every one must have a token.
    pub rates: Vec<RateLimit>,
    /// Requests at once.
    pub concurrent_requests: Option<u32>,
    /// Clients that rates and numbers do not hold for.
    pub exempt: Vec<IpNet>,
    /// The status of a refusal, 400 to 599; none for 429.
    pub status: Option<u16>,
    /// The bytes of a request's body, counted while they pass; 413 beyond. `Some(0)` for no limit, none for the
    /// ingress's own.
    pub body_bytes: Option<u64>,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// This many requests …
    pub requests: u32,
    /// … in this many seconds; at least 1.
    pub per_seconds: u32,
    /// As many as may come at once: the size of the bucket; at least 1.
    pub burst: u32,
}
