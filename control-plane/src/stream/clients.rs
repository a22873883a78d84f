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

use super::{hello::Accepted, session::Standing};
use crate::{
    clock,
    metrics::Metrics,
    publish::{TopicSet, View, Views},
};

/// The connected clients. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    connected: Arc<Mutex<BTreeMap<u64, Arc<Record>>>>,
    next: Arc<AtomicU64>,
    /// The name of this replica.
    replica: Arc<str>,
    views: Views,
    metrics: Arc<Metrics>,
}

/// A client's place in the list, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Clients,
    number: u64,
    record: Arc<Record>,
}

/// One client.
#[derive(Debug)]
struct Record {
    identity: Arc<v1::ClientIdentity>,
    role: v1::Role,
    topics: TopicSet,
    connected_at: SystemTime,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct State {
    standing: Standing,
    heard: SystemTime,
}

impl Clients {
    /// Nobody.
    pub(crate) fn new(replica: &str, views: Views, metrics: Arc<Metrics>) -> Self {
        Self {
            connected: Arc::default(),
            next: Arc::default(),
            replica: replica.into(),
            views,
            metrics,
        }
    }

    /// Everybody, by node and id.
    pub(crate) fn list(&self) -> Vec<v1::Client> {
        let records: Vec<_> = self.lock().values().cloned().collect();
        let view = self.views.borrow().clone();
        let described = |record: Arc<Record>| record.describe(&self.replica, view.as_deref());
        let mut clients: Vec<_> = records.into_iter().map(described).collect();
        clients.sort_by(|one, other| order(one).cmp(&order(other)));
        clients
    }

    /// How many are connected.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn enter(&self, accepted: &Accepted, standing: &Standing) -> Place {
        let now = clock::wall();
        self.metrics.clients(accepted.role, 1);
        let record = Arc::new(Record {
            identity: Arc::clone(&accepted.identity),
            role: accepted.role,
            topics: accepted.topics,
            connected_at: now,
            state: Mutex::new(State {
                standing: standing.clone(),
                heard: now,
            }),
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, Arc::clone(&record));
        Place {
            clients: self.clone(),
            number,
            record,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Record>>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What clients are sorted by.
fn order(client: &v1::Client) -> Option<(&str, &str)> {
    let identity = client.identity.as_ref()?;
    Some((&identity.node_name, &identity.id))
}

impl Place {
    /// The client stands like this, and said something now or was sent something.
    pub(super) fn update(&self, standing: &Standing, heard: Option<SystemTime>) {
        let mut state = self.record.lock();
        state.standing.clone_from(standing);
        if let Some(heard) = heard {
            state.heard = heard;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.metrics.clients(self.record.role, -1);
        self.clients.lock().remove(&self.number);
    }
}

impl Record {
    fn describe(&self, replica: &str, view: Option<&View>) -> v1::Client {
        let State { standing, heard } = self.lock().clone();
        let behind_since = view.and_then(|view| self.behind_since(&standing, view));
        v1::Client {
            identity: Some(self.identity.as_ref().clone()),
            role: self.role.into(),
            connected_at: Some(self.connected_at.into()),
            last_heard: Some(heard.into()),
            replica: replica.to_owned(),
            behind_since: behind_since.map(Into::into),
            ..standing.describe(self.topics)
        }
    }

    /// When the oldest change that the client has not acknowledged was published.
    fn behind_since(&self, standing: &Standing, view: &View) -> Option<SystemTime> {
        let Some(position) = standing.position() else {
            return Some(self.connected_at);
        };
        if !view.has_changes(self.topics, position) {
            return None;
        }
        let stamp = view.stamp_after(position)?;
        clock::wall().checked_sub(stamp.at.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
