//! The data planes that are connected now, as tools see them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use meshlite_proto::v1;

use crate::metrics::Metrics;

/// The connected clients. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    connected: Arc<Mutex<BTreeMap<u64, v1::Client>>>,
    next: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

/// A client's place in the list, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Clients,
    number: u64,
    role: v1::Role,
    connected_at: SystemTime,
}

impl Clients {
    /// Nobody.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            connected: Arc::default(),
            next: Arc::default(),
            metrics,
        }
    }

    /// Everybody, in the order in which they came.
    pub(crate) fn list(&self) -> Vec<v1::Client> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn enter(&self, role: v1::Role, now: SystemTime) -> Place {
        self.metrics.clients(role, 1);
        Place {
            clients: self.clone(),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            role,
            connected_at: now,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, v1::Client>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// This is what the client is like now.
    pub(super) fn update(&self, client: v1::Client, heard: SystemTime) {
        let client = v1::Client {
            connected_at: Some(self.connected_at.into()),
            last_heard: Some(heard.into()),
            ..client
        };
        self.clients.lock().insert(self.number, client);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.metrics.clients(self.role, -1);
        self.clients.lock().remove(&self.number);
    }
}
