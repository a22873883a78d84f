//! What a route says about sending requests, beyond where to.

use std::time::Duration;

use http::StatusCode;
use meshlite_snapshot::{Filter, Name, Policy, RetryOn};

use super::ClusterId;

/// How a route's requests are sent, where it says anything about it.
#[derive(Debug)]
pub(crate) struct Forwarding {
    pub(crate) retry: Retry,
    /// Gets a copy of each request.
    pub(crate) mirror: Option<ClusterId>,
}

/// How often a request is tried, and after what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// Requests that are sent, at most.
    pub(crate) tries: usize,
    /// Endpoints that are tried to connect to, at most.
    pub(crate) connects: usize,
    pub(crate) after_reset: bool,
    pub(crate) after_timeout: bool,
    pub(crate) after: Vec<StatusCode>,
    /// No try begins later than this after the first.
    pub(crate) within: Option<Duration>,
    /// Also requests that may do something twice.
    pub(crate) non_idempotent: bool,
}

impl Retry {
    /// Where a route says nothing.
    pub(crate) const DEFAULT: Self = Self {
        tries: 3,
        connects: 4,
        after_reset: true,
        after_timeout: false,
        after: Vec::new(),
        within: None,
        non_idempotent: false,
    };

    fn new(retry: &meshlite_snapshot::Retry) -> Self {
        let tries = usize::try_from(retry.attempts.max(1)).unwrap_or(usize::MAX);
        let status = |on: &RetryOn| match on {
            RetryOn::Status(status) => StatusCode::from_u16(*status).ok(),
            RetryOn::ConnectFailure | RetryOn::Reset | RetryOn::Timeout => None,
        };
        let after_connecting = retry.on.contains(&RetryOn::ConnectFailure);
        Self {
            tries,
            connects: if after_connecting { tries } else { 1 },
            after_reset: retry.on.contains(&RetryOn::Reset),
            after_timeout: retry.on.contains(&RetryOn::Timeout),
            after: retry.on.iter().filter_map(status).collect(),
            within: retry.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
            non_idempotent: retry.non_idempotent,
        }
    }
}

impl Forwarding {
    /// None where the route has nothing of it.
    pub(super) fn new(
        filters: &[Filter],
        policy: Option<&Policy>,
        cluster: impl FnMut(&Name) -> ClusterId,
    ) -> Option<Box<Self>> {
        let mirrored = filters.iter().find_map(|filter| match filter {
            Filter::Mirror(to) => Some(&to.cluster),
            _ => None,
        });
        let mirror = mirrored.map(cluster);
        let retry = policy.and_then(|policy| policy.retry.as_ref());
        if mirror.is_none() && retry.is_none() {
            return None;
        }
        Some(Box::new(Self {
            retry: retry.map_or(Retry::DEFAULT, Retry::new),
            mirror,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_route_does_not_name_is_not_retried() {
        let retry = meshlite_snapshot::Retry {
            attempts: u32::MAX,
            on: vec![
                RetryOn::Timeout,
                RetryOn::Status(503),
                RetryOn::Status(9999),
            ],
            timeout_ms: Some(1500),
            non_idempotent: true,
        };
        let expected = Retry {
            tries: usize::try_from(u32::MAX).unwrap(),
            connects: 1,
            after_reset: false,
            after_timeout: true,
            after: vec![StatusCode::SERVICE_UNAVAILABLE],
            within: Some(Duration::from_millis(1500)),
            non_idempotent: true,
        };
        assert_eq!(Retry::new(&retry), expected);
    }
}
