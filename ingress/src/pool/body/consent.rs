//! An endpoint's `100 Continue`, which a client waits for before it sends a body.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::{Request, StatusCode};
use tokio::time::{Sleep, sleep};

/// How long an endpoint is waited for that may not know the expectation (RFC 9110 section 10.1.1).
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until the endpoint wants the body, or has been silent for too long.
#[derive(Debug)]
pub(crate) struct Consent {
    given: Arc<Given>,
    patience: Pin<Box<Sleep>>,
}

#[derive(Debug, Default)]
struct Given {
    is_given: AtomicBool,
    waker: AtomicWaker,
}

impl Consent {
    pub(crate) fn new() -> Self {
        Self {
            given: Arc::default(),
            patience: Box::pin(sleep(PATIENCE)),
        }
    }

    /// Hears what the endpoint says before its answer to a request.
    pub(crate) fn hear<B>(&self) -> impl FnOnce(&mut Request<B>) + use<B> {
        let given = Arc::clone(&self.given);
        move |request| {
            hyper::ext::on_informational(request, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    given.is_given.store(true, Ordering::Release);
                    given.waker.wake();
                }
            });
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.given.waker.register(cx.waker());
        if self.given.is_given.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.patience.as_mut().poll(cx)
    }
}
