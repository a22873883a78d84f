//! Fetches the Secrets that are wanted, and no other, when they are named and when they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::Secret;
use meshlite_compile::ObjectKey;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

use super::{Answer, Update, api::Api, backoff::Backoff, reflector::Failure};

/// How many are fetched at the same time.
const AT_ONCE: usize = 16;

/// Fetches what is wanted.
pub(super) struct Fetcher {
    pub(super) api: Api,
    /// What is wanted now.
    pub(super) wanted: watch::Receiver<BTreeSet<ObjectKey>>,
    /// What changed, wanted or not.
    pub(super) touched: mpsc::Receiver<ObjectKey>,
    pub(super) updates: mpsc::Sender<Update>,
}

#[derive(Debug, Default)]
struct Entry {
    /// When to fetch it; none while what is known of it is current.
    due: Option<Instant>,
    is_asked: bool,
    backoff: Backoff,
}

type Fetched = (ObjectKey, Result<Option<Arc<Secret>>, Failure>);
type Fetches = FuturesUnordered<BoxFuture<'static, Fetched>>;

impl Fetcher {
    /// Fetches until nobody takes updates any more.
    pub(super) async fn run(mut self) {
        let mut entries = BTreeMap::new();
        let mut fetches = Fetches::new();
        // What was wanted before this began is seen too.
        self.wanted.mark_changed();
        loop {
            let next = entries.values().filter_map(Entry::next).min();
            let updates = tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Ok(()) => {
                        let wanted = self.wanted.borrow_and_update().clone();
                        want(&mut entries, wanted, Instant::now())
                    }
                    Err(_) => return,
                },
                touched = self.touched.recv() => match touched {
                    Some(key) => {
                        if let Some(entry) = entries.get_mut(&key) {
                            entry.due = Some(Instant::now());
                        }
                        Vec::new()
                    }
                    None => return,
                },
                Some((key, fetched)) = fetches.next() => answered(&mut entries, key, fetched),
                () = sleep_until(next.unwrap_or_else(Instant::now)),
                    if next.is_some() && fetches.len() < AT_ONCE => Vec::new(),
            };
            for update in updates {
                if self.updates.send(update).await.is_err() {
                    return;
                }
            }
            self.fetch_due(&mut entries, &fetches);
        }
    }

    fn fetch_due(&self, entries: &mut BTreeMap<ObjectKey, Entry>, fetches: &Fetches) {
        let now = Instant::now();
        for (key, entry) in entries {
            if fetches.len() >= AT_ONCE {
                return;
            }
            if entry.next().is_none_or(|due| due > now) {
                continue;
            }
            entry.due = None;
            entry.is_asked = true;
            let (api, key) = (self.api.clone(), key.clone());
            fetches.push(
                async move {
                    let fetched = api.secret(&key).await;
                    (key, fetched)
                }
                .boxed(),
            );
        }
    }
}

impl Entry {
    /// When it may be fetched: not while it is being fetched.
    fn next(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_asked)
    }
}

/// Takes in what is wanted now. What is not any longer is forgotten, by everybody.
fn want(
    entries: &mut BTreeMap<ObjectKey, Entry>,
    wanted: BTreeSet<ObjectKey>,
    now: Instant,
) -> Vec<Update> {
    let unwanted = entries.extract_if(.., |key, _| !wanted.contains(key));
    let forgotten = unwanted.map(|(key, _)| Update::Secret(key, Answer::Unwanted));
    let forgotten = forgotten.collect();
    for key in wanted {
        entries.entry(key).or_insert_with(|| Entry {
            due: Some(now),
            ..Entry::default()
        });
    }
    forgotten
}

fn answered(
    entries: &mut BTreeMap<ObjectKey, Entry>,
    key: ObjectKey,
    fetched: Result<Option<Arc<Secret>>, Failure>,
) -> Vec<Update> {
    let Some(entry) = entries.get_mut(&key) else {
        return Vec::new();
    };
    entry.is_asked = false;
    let answer = match fetched {
        Ok(Some(secret)) => Answer::Found(secret),
        Ok(None) => Answer::Missing,
        Err(failure) => {
            let wait = entry.backoff.after_failure(Instant::now(), fastrand::f64());
            let wait = match &failure {
                Failure::Busy { rest, .. } => wait.max(*rest),
                _ => wait,
            };
            entry.retry_after(wait);
            match failure {
                Failure::Forbidden(text) => Answer::Forbidden(text),
                failure => {
                    if wait > Duration::from_secs(5) {
                        warn!(secret = %key, %failure, "Secret cannot be fetched; it is tried again");
                    } else {
                        debug!(secret = %key, %failure, "Secret is fetched again");
                    }
                    return Vec::new();
                }
            }
        }
    };
    vec![Update::Secret(key, answer)]
}

impl Entry {
    fn retry_after(&mut self, wait: Duration) {
        let retry = Instant::now() + wait;
        self.due = Some(self.due.map_or(retry, |due| due.min(retry)));
    }
}
