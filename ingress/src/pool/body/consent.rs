//! An endpoint's `100 Continue`, which a client waits for before it sends a body.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// How long an endpoint is waited for that may not know the expectation (RFC 9110 section 10.1.1).
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until the endpoint has been silent for too long; gone once it wants the body.
#[derive(Debug)]
pub(crate) struct Consent {
    patience: Pin<Box<Sleep>>,
}

impl Consent {
    pub(crate) fn new() -> Self {
        Self {
            patience: Box::pin(sleep(PATIENCE)),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.patience.as_mut().poll(cx)
    }
}
