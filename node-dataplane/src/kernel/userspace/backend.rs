//! A real server as connections see it: where it is, how busy it is, and whether it is gone.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

/// A real server of one place. It outlives changes of the table, so its connections stay counted.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    active: AtomicU64,
    gone: CancellationToken,
}

/// One connection or flow to a backend; counted while it is held.
#[derive(Debug)]
pub(super) struct Lease(Arc<Backend>);

// === impl Backend ===

impl Backend {
    pub(super) fn new(address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            address,
            active: AtomicU64::new(0),
            gone: CancellationToken::new(),
        })
    }

    /// Connections and flows that it has.
    pub(super) fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// Ends what it has.
    pub(super) fn close(&self) {
        self.gone.cancel();
    }
}

// === impl Lease ===

impl Lease {
    pub(super) fn new(backend: &Arc<Backend>) -> Self {
        backend.active.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(backend))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Whether the backend is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.0.gone.is_cancelled()
    }

    /// Waits until the backend is gone.
    pub(super) async fn gone(&self) {
        self.0.gone.cancelled().await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}
