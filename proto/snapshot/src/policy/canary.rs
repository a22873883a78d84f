//! Requests that go to other backends than the rest.

use serde::Serialize;

use crate::WeightedCluster;

/// Requests that go to other backends than the rest. The header decides first, then the cookie, then the weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Canary {
    /// Where they go.
    pub backends: Vec<WeightedCluster>,
    /// Decides by a header.
    pub header: Option<CanaryHeader>,
    /// Decides by a cookie: `always` and `never`; any other value does not decide.
    pub cookie: Option<String>,
    /// Of `total` requests that nothing else decided, so many; `weight` ≥ `total` takes all.
    pub weight: u32,
    /// What `weight` is counted in; at least 1.
    pub total: u32,
}

/// Decides by a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CanaryHeader {
    /// The header, in lower case.
    pub name: String,
    /// What its value must be.
    pub values: CanaryMatch,
}

/// Which values of a header decide; any other leaves it to the cookie and the weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum CanaryMatch {
    /// `always` takes the request, `never` leaves it.
    AlwaysNever,
    /// This value takes the request.
    Exact(String),
    /// A value that this expression is found in takes the request.
    Regex(String),
}
