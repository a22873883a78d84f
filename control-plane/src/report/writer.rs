//! Makes the API objects say what they should, a few at a time, each at the version that was read and while the token holds.
//!
//! ```text
//! what is wanted ─┬─> steps (pure) ─> desk of Ingresses, desk of Services ─> status
//!                 └─> book (pure) ──────────────────────────────────────> Events
//! ```

mod desk;
mod steps;

use std::{sync::Arc, time::Duration};

use meshlite_compile::ObjectKey;
use meshlite_kubernetes::{
    EventBook, Events, Ingress, IngressApi, Notice, Service, ServiceApi, ServiceState, Timestamp,
    WriteError,
};
use tokio::time::Instant;
use tracing::{info, warn};

pub(super) use self::steps::{Counts, Wanted};

use self::desk::{Desk, namespaces, share};
use crate::{config::PublishStatus, metrics::Metrics, watch::Facts};

/// Objects that are written in a round of a second, and Events.
const OBJECTS: usize = 10;
const EVENTS: usize = 5;
/// How long nothing of a kind is tried for want of a right.
const FORBIDDEN: Duration = Duration::from_mins(1);
/// How long a change has to be published before its progress is told: most data planes have it by then.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

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
#[derive(Debug)]
pub(super) struct Writer {
    ingresses: Desk<Ingress>,
    services: Desk<Service>,
    events: Events,
    book: EventBook,
    /// Until when no Event is tried, for want of a right.
    silent: Option<Instant>,
    metrics: Arc<Metrics>,
    /// What is to be listed when the term begins.
    namespaces: Option<Vec<String>>,
    published: Published,
}

/// The Service that addresses are published from.
#[derive(Debug, Default)]
struct Published {
    /// As it was read, when the watch had seen this version.
    read: Option<(u64, ServiceState)>,
    /// Until when it is not read again, after that failed.
    rests: Option<Instant>,
}

impl Writer {
    pub(super) fn new(apis: Apis, metrics: Arc<Metrics>) -> Self {
        let Apis {
            ingresses,
            services,
            events,
            namespaces,
        } = apis;
        Self {
            ingresses: Desk::new("Ingress", ingresses, Arc::clone(&metrics)),
            services: Desk::new("Service", services, Arc::clone(&metrics)),
            events,
            book: EventBook::default(),
            silent: None,
            metrics,
            namespaces: Some(namespaces),
            published: Published::default(),
        }
    }

    /// The Service that addresses are published from, as far as it can be read; none where there is none, or it is not
    /// watched.
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
        let Published { read, rests } = &mut self.published;
        let is_read = read
            .as_ref()
            .is_some_and(|(seen, _)| *seen == object.version);
        if !is_read && rests.is_none_or(|until| now >= until) {
            *rests = None;
            match self.services.read(key).await {
                Ok(state) => *read = Some((object.version, state)),
                Err(error @ (WriteError::Deposed | WriteError::Unavailable(_))) => {
                    return Err(Halt(error));
                }
                Err(error) => {
                    warn!(service = %key, %error, "the Service that addresses are published from cannot be read; the addresses stay");
                    *rests = Some(now + FORBIDDEN);
                }
            }
        }
        Ok(read.as_ref().map(|(_, state)| state.clone()))
    }

    /// Writes some of what differs; the rest has its turn in the next rounds.
    pub(super) async fn round(&mut self, wanted: Wanted<'_>, now: Instant) -> Result<(), Halt> {
        self.load().await?;
        let served = &wanted.facts.served_ingresses;
        let services = &wanted.index.services;
        self.ingresses.keep(|key| served.contains(key), now);
        self.services.keep(|key| services.contains_key(key), now);
        let of_ingress = |key: &ObjectKey, state: Option<&_>| steps::ingress(&wanted, key, state);
        let of_service = |key: &ObjectKey, state: Option<&_>| steps::service(&wanted, key, state);
        let (ingresses, services) = share(
            self.ingresses.due(served.iter(), of_ingress, OBJECTS, now),
            self.services.due(services.keys(), of_service, OBJECTS, now),
            OBJECTS,
        );
        self.say(&wanted.notices, now).await?;
        for key in ingresses {
            self.ingresses.settle(key, of_ingress, now).await?;
        }
        for key in services {
            self.services.settle(key, of_service, now).await?;
        }
        Ok(())
    }

    /// What is there when a term begins.
    async fn load(&mut self) -> Result<(), Halt> {
        let Some(names) = &self.namespaces else {
            return Ok(());
        };
        for namespace in namespaces(names) {
            self.ingresses.load(namespace, None).await?;
            for kind in ["spec.type=LoadBalancer", "spec.type=NodePort"] {
                self.services.load(namespace, Some(kind)).await?;
            }
        }
        self.namespaces = None;
        Ok(())
    }

    async fn say(&mut self, notices: &[Notice], now: Instant) -> Result<(), Halt> {
        if self.silent.is_some_and(|until| now < until) {
            return Ok(());
        }
        for (notice, known) in self.book.due(notices, EVENTS, now) {
            let posted = self.events.post(notice, known.as_ref(), Timestamp::now());
            let posted = posted.await;
            self.metrics.wrote("Event", posted.as_ref().err());
            match posted {
                Ok(posted) => {
                    self.book.posted(notice, posted, now);
                    if self.silent.take().is_some() {
                        info!("Events can be written again");
                    }
                }
                Err(error @ (WriteError::Deposed | WriteError::Unavailable(_))) => {
                    return Err(Halt(error));
                }
                Err(error @ WriteError::Forbidden(_)) => {
                    if self.silent.replace(now + FORBIDDEN).is_none() {
                        warn!(%error, "a right is missing to write Events; grant it; it is tried again every minute");
                    }
                    return Ok(());
                }
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
