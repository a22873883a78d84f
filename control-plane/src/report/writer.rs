//! Makes the API objects say what they should, a few at a time, each at the version that was read and while the token holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use meshlite_compile::ObjectKey;
use meshlite_kubernetes::{
    Address, EventBook, Events, IngressApi, IngressChange, IngressState, Leadership, Notice,
    Programmed, ServiceApi, ServiceState, Timestamp, WriteError,
};
use meshlite_snapshot::ObjectRef;
use tokio::time::Instant;
use tracing::warn;

use super::{index::Index, members::Census};
use crate::{config::PublishStatus, watch::Facts};

/// Requests in one round of a second, and how many of them Events may take while others wait.
const BUDGET: usize = 10;
const EVENTS: usize = 4;
/// How long an object is left alone after it was written.
const REST: Duration = Duration::from_secs(10);
/// How long an object is left alone that the API server refuses to change.
const REFUSED: Duration = Duration::from_mins(5);
/// How long a change has to be published before its progress is told: most data planes have it by then.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// What should be there.
pub(super) struct Wanted<'a> {
    pub(super) facts: &'a Facts,
    pub(super) index: &'a Index,
    pub(super) addresses: Option<BTreeSet<Address>>,
    pub(super) notices: Vec<Notice>,
    /// Ingresses and nodes; none while they are not known.
    pub(super) counts: Option<(Option<Census>, Option<Census>)>,
    /// Whether a generation was published long enough ago.
    pub(super) is_settled: Box<dyn Fn(u64) -> bool + Send + Sync>,
}

/// Nothing can be written now.
#[derive(Debug)]
pub(super) struct Halt(pub(super) WriteError);

/// What of the API server is written to.
#[derive(Clone, Debug)]
pub(super) struct Apis {
    pub(super) ingresses: IngressApi,
    pub(super) services: ServiceApi,
    pub(super) events: Events,
    /// Empty: all.
    pub(super) namespaces: Vec<String>,
}

/// The one writer, for one term of leadership.
pub(super) struct Writer {
    apis: Apis,
    leadership: Leadership,
    book: EventBook,
    ingresses: Known<IngressState>,
    services: Known<ServiceState>,
    is_loaded: bool,
    /// The Service that addresses are published from.
    published: Option<(u64, ServiceState)>,
}

/// Objects as they were last read or written, and until when each is left alone.
struct Known<S> {
    states: BTreeMap<ObjectKey, S>,
    rests: BTreeMap<ObjectKey, Instant>,
}

/// What to do about an object.
#[derive(Debug, PartialEq)]
enum Task {
    ReadIngress,
    WriteIngress(IngressChange),
    ReadService,
    WriteService(Programmed),
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("ingresses", &self.ingresses.states.len())
            .field("services", &self.services.states.len())
            .finish_non_exhaustive()
    }
}

impl<S> Default for Known<S> {
    fn default() -> Self {
        Self {
            states: BTreeMap::new(),
            rests: BTreeMap::new(),
        }
    }
}

impl<S> Known<S> {
    fn rest(&mut self, key: &ObjectKey, until: Instant) {
        self.rests.insert(key.clone(), until);
    }

    fn forget_rested(&mut self, now: Instant) {
        self.rests.retain(|_, until| now < *until);
    }
}

impl Writer {
    pub(super) fn new(apis: Apis, leadership: Leadership) -> Self {
        Self {
            apis,
            leadership,
            book: EventBook::default(),
            ingresses: Known::default(),
            services: Known::default(),
            is_loaded: false,
            published: None,
        }
    }

    /// The Service that addresses are published from, as it is; none where there is none, or it is not watched.
    pub(super) async fn published(
        &mut self,
        publish: &PublishStatus,
        facts: &Facts,
        now: Instant,
    ) -> Result<Option<ServiceState>, Halt> {
        let PublishStatus::Service(key) = publish else {
            return Ok(None);
        };
        let Some(object) = facts.object("Service", key) else {
            return Ok(None);
        };
        if let Some((version, state)) = &self.published
            && *version == object.version
        {
            return Ok(Some(state.clone()));
        }
        match self.apis.services.get(key).await {
            Ok(state) => {
                self.published = Some((object.version, state.clone()));
                Ok(Some(state))
            }
            Err(error) => {
                self.services.failed("Service", key, error, now)?;
                Ok(None)
            }
        }
    }

    /// Writes what is most urgent of what differs.
    pub(super) async fn round(&mut self, wanted: Wanted<'_>, now: Instant) -> Result<(), Halt> {
        self.load().await?;
        self.ingresses.forget_rested(now);
        self.services.forget_rested(now);
        let tasks = self.tasks(&wanted, BUDGET);
        let left = BUDGET.saturating_sub(tasks.len()).max(EVENTS);
        self.say(&wanted.notices, left, now).await?;
        for (key, task) in tasks.into_iter().take(BUDGET) {
            if !self.leadership.holds() {
                return Ok(());
            }
            self.perform(&key, task, now).await?;
        }
        Ok(())
    }

    /// What is there when a term begins.
    async fn load(&mut self) -> Result<(), Halt> {
        if self.is_loaded {
            return Ok(());
        }
        let all = [None];
        let some: Vec<_> = self
            .apis
            .namespaces
            .iter()
            .map(|name| Some(name.as_str()))
            .collect();
        let namespaces = if some.is_empty() { &all[..] } else { &some };
        for namespace in namespaces {
            let ingresses = self
                .apis
                .ingresses
                .list(*namespace, None)
                .await
                .map_err(Halt)?;
            self.ingresses.states.extend(ingresses);
            for kind in ["spec.type=LoadBalancer", "spec.type=NodePort"] {
                let services = self.apis.services.list(*namespace, Some(kind)).await;
                self.services.states.extend(services.map_err(Halt)?);
            }
        }
        self.is_loaded = true;
        Ok(())
    }

    /// What to do, at most `limit`. What was just written rests, so that the others have their turn.
    fn tasks(&mut self, wanted: &Wanted<'_>, limit: usize) -> Vec<(ObjectKey, Task)> {
        let served = &wanted.facts.served_ingresses;
        self.ingresses.states.retain(|key, _| served.contains(key));
        let services = &wanted.index.services;
        self.services
            .states
            .retain(|key, _| services.contains_key(key));
        let mut tasks: Vec<_> = served
            .iter()
            .filter(|key| !self.ingresses.rests.contains_key(*key))
            .filter_map(|key| Some((key.clone(), self.ingress_task(key, wanted)?)))
            .take(limit)
            .collect();
        // A few places are left for Services, so that neither kind waits for the other.
        tasks.truncate(limit - EVENTS / 2);
        let rest = limit - tasks.len();
        let of_services = services
            .iter()
            .filter(|(key, _)| !self.services.rests.contains_key(*key))
            .filter_map(|(key, changed)| {
                Some((key.clone(), self.service_task(key, *changed, wanted)?))
            });
        tasks.extend(of_services.take(rest));
        tasks
    }

    fn ingress_task(&self, key: &ObjectKey, wanted: &Wanted<'_>) -> Option<Task> {
        let object = wanted.facts.object("Ingress", key)?;
        let current = self.ingresses.states.get(key);
        let Some(state) = current.filter(|state| is_current(&state.version, object.version)) else {
            return Some(Task::ReadIngress);
        };
        let changed = wanted.index.ingresses.get(key).copied();
        let census = wanted
            .counts
            .as_ref()
            .and_then(|(ingresses, _)| ingresses.as_ref());
        let census = census.filter(|_| changed.is_none_or(&wanted.is_settled));
        let programmed = census.and_then(|census| {
            let object = ObjectRef::new("Ingress", &*key.namespace, &*key.name);
            let programmed = census.programmed(&object, changed);
            let says = state.programmed.as_deref();
            // Where nobody is and nobody was, there is nothing to say.
            let is_news = programmed.of > 0 || says.is_some();
            (is_news && says != Some(&programmed.to_string())).then_some(programmed)
        });
        let addresses = wanted.addresses.as_ref();
        let change = IngressChange {
            addresses: addresses
                .filter(|wanted| **wanted != state.addresses)
                .cloned(),
            programmed,
        };
        (!change.is_empty()).then_some(Task::WriteIngress(change))
    }

    fn service_task(&self, key: &ObjectKey, changed: u64, wanted: &Wanted<'_>) -> Option<Task> {
        let object = wanted.facts.object("Service", key)?;
        let current = self.services.states.get(key);
        let Some(state) = current.filter(|state| is_current(&state.version, object.version)) else {
            return Some(Task::ReadService);
        };
        let census = wanted.counts.as_ref()?.1.as_ref()?;
        if !(wanted.is_settled)(changed) {
            return None;
        }
        let object = ObjectRef::new("Service", &*key.namespace, &*key.name);
        let programmed = census.programmed(&object, Some(changed));
        let is_news = programmed.of > 0 || state.condition.is_some();
        (is_news && !state.says(programmed)).then_some(Task::WriteService(programmed))
    }

    async fn perform(&mut self, key: &ObjectKey, task: Task, now: Instant) -> Result<(), Halt> {
        match task {
            Task::ReadIngress => {
                let read = self.apis.ingresses.get(key).await;
                self.ingresses.take("Ingress", key, read, None, now)
            }
            Task::WriteIngress(change) => {
                let Some(before) = self.ingresses.states.get(key) else {
                    return Ok(());
                };
                let written = self.apis.ingresses.patch(key, &change.patch(before)).await;
                self.ingresses
                    .take("Ingress", key, written, Some(REST), now)
            }
            Task::ReadService => {
                let read = self.apis.services.get(key).await;
                self.services.take("Service", key, read, None, now)
            }
            Task::WriteService(programmed) => {
                let Some(before) = self.services.states.get(key) else {
                    return Ok(());
                };
                let patch = before.patch(programmed, Timestamp::now());
                let written = self.apis.services.patch(key, &patch).await;
                self.services.take("Service", key, written, Some(REST), now)
            }
        }
    }

    async fn say(&mut self, notices: &[Notice], limit: usize, now: Instant) -> Result<(), Halt> {
        for (notice, known) in self.book.due(notices, limit, now) {
            if !self.leadership.holds() {
                return Ok(());
            }
            match self.apis.events.post(notice, known, Timestamp::now()).await {
                Ok(posted) => self.book.posted(notice, posted, now),
                Err(error @ WriteError::Unavailable(_)) => return Err(Halt(error)),
                Err(WriteError::Gone(_) | WriteError::Conflict(_)) => {
                    self.book.refused(notice, now);
                }
                Err(error @ WriteError::Refused(_)) => {
                    warn!(%error, object = notice.subject.name, "the API server takes no Event about an object");
                    self.book.refused(notice, now);
                }
            }
        }
        Ok(())
    }
}

impl<S> Known<S> {
    /// Takes in what an object is like after it was read or written, or why that failed.
    fn take(
        &mut self,
        kind: &'static str,
        key: &ObjectKey,
        outcome: Result<S, WriteError>,
        rest: Option<Duration>,
        now: Instant,
    ) -> Result<(), Halt> {
        match outcome {
            Ok(state) => {
                self.states.insert(key.clone(), state);
                if let Some(rest) = rest {
                    self.rest(key, now + rest);
                }
                Ok(())
            }
            Err(error) => self.failed(kind, key, error, now),
        }
    }

    fn failed(
        &mut self,
        kind: &'static str,
        key: &ObjectKey,
        error: WriteError,
        now: Instant,
    ) -> Result<(), Halt> {
        self.states.remove(key);
        match error {
            // It is read again in the next round.
            WriteError::Conflict(_) => Ok(()),
            WriteError::Gone(_) => {
                self.rest(key, now + REST);
                Ok(())
            }
            WriteError::Refused(_) => {
                warn!(kind, object = %key, %error, "the API server refuses a change of status");
                self.rest(key, now + REFUSED);
                Ok(())
            }
            WriteError::Unavailable(_) => Err(Halt(error)),
        }
    }
}

/// Whether a state that was read at this version is not older than what the watch has seen.
fn is_current(read: &str, seen: u64) -> bool {
    read.parse::<u64>().is_ok_and(|read| read >= seen)
}
