//! The objects of one kind as they were last seen, and what is done when one of them does not take a change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use meshlite_compile::ObjectKey;
use meshlite_kubernetes::{StatusApi, StatusObject, WriteError};
use serde_json::Value;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{FORBIDDEN, Halt};
use crate::metrics::Metrics;

/// How long an object is left alone after it was written.
const REST: Duration = Duration::from_secs(2);
/// How long an object is left alone that is gone while the watch still has it.
const GONE: Duration = Duration::from_secs(10);
/// How long an object is left alone that others change all the time, at most.
const BUSY: Duration = Duration::from_mins(1);
/// How long an object is left alone that the API server refuses to change.
const REFUSED: Duration = Duration::from_mins(5);
/// Requests about one object at a time: it is read and written, and once more where somebody else was faster.
const ATTEMPTS: usize = 4;

/// What to do about an object next.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// What is known of it is older than what the watch has seen.
    Read,
    /// Send this patch.
    Write(Value),
}

pub(super) struct Desk<K: StatusObject> {
    kind: &'static str,
    api: StatusApi<K>,
    metrics: Arc<Metrics>,
    states: BTreeMap<ObjectKey, K::State>,
    rests: BTreeMap<ObjectKey, Rest>,
    /// Until when nothing of this kind is tried, for want of a right.
    forbidden: Option<Instant>,
    /// Whose turn it was last.
    last: Option<ObjectKey>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    /// How often in a row others were faster.
    conflicts: u32,
}

impl<K: StatusObject> fmt::Debug for Desk<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("kind", &self.kind)
            .field("states", &self.states.len())
            .field("rests", &self.rests)
            .finish_non_exhaustive()
    }
}

impl<K: StatusObject> Desk<K> {
    pub(super) fn new(kind: &'static str, api: StatusApi<K>, metrics: Arc<Metrics>) -> Self {
        Self {
            kind,
            api,
            metrics,
            states: BTreeMap::new(),
            rests: BTreeMap::new(),
            forbidden: None,
            last: None,
        }
    }

    /// Reads all objects of a namespace, or of all, that a field selector selects.
    pub(super) async fn load(
        &mut self,
        namespace: Option<&str>,
        fields: Option<&str>,
    ) -> Result<(), Halt> {
        let found = self.api.list(namespace, fields).await.map_err(Halt)?;
        self.states.extend(found);
        Ok(())
    }

    /// Reads an object that is none of those to write.
    pub(super) async fn read(&self, key: &ObjectKey) -> Result<K::State, WriteError> {
        self.api.get(key).await
    }

    /// Forgets objects that are not there any more, and what happened long ago.
    pub(super) fn keep(&mut self, is_there: impl Fn(&ObjectKey) -> bool, now: Instant) {
        self.states.retain(|key, _| is_there(key));
        self.rests.retain(|_, rest| now < rest.until + BUSY);
    }

    /// Whose turn it is: those about which there is something to do, beginning after whoever was the last.
    pub(super) fn due<'a>(
        &self,
        keys: impl Iterator<Item = &'a ObjectKey> + Clone,
        step: impl Fn(&ObjectKey, Option<&K::State>) -> Option<Step>,
        limit: usize,
        now: Instant,
    ) -> Vec<&'a ObjectKey> {
        if self.is_forbidden(now) {
            return Vec::new();
        }
        let is_later = |key: &&ObjectKey| Some(*key) > self.last.as_ref();
        let later = keys.clone().filter(is_later);
        let in_turn = later.chain(keys.filter(|key| !is_later(key)));
        let rests = |key: &ObjectKey| self.rests.get(key).is_some_and(|rest| now < rest.until);
        in_turn
            .filter(|key| !rests(key) && step(key, self.states.get(*key)).is_some())
            .take(limit)
            .collect()
    }

    /// Does what there is to do about an object: reads it and decides again, as often as others are faster, within bounds.
    pub(super) async fn settle(
        &mut self,
        key: &ObjectKey,
        step: impl Fn(&ObjectKey, Option<&K::State>) -> Option<Step>,
        now: Instant,
    ) -> Result<(), Halt> {
        if self.is_forbidden(now) {
            return Ok(());
        }
        self.last = Some(key.clone());
        for _ in 0..ATTEMPTS {
            let (outcome, is_write) = match step(key, self.states.get(key)) {
                None => return Ok(()),
                Some(Step::Read) => (self.api.get(key).await, false),
                Some(Step::Write(patch)) => (self.write(key, &patch).await, true),
            };
            match outcome {
                Ok(state) => {
                    self.states.insert(key.clone(), state);
                    if is_write {
                        if self.forbidden.take().is_some() {
                            info!(kind = self.kind, "status can be written again");
                        }
                        self.rest(key, now + REST, 0);
                        return Ok(());
                    }
                }
                Err(WriteError::Conflict(_)) => {
                    self.states.remove(key);
                }
                Err(error) => return self.failed(key, error, now),
            }
        }
        let before = self.rests.get(key).map_or(0, |rest| rest.conflicts);
        let pause = REST.saturating_mul(2_u32.saturating_pow(before)).min(BUSY);
        self.rest(key, now + pause, before.saturating_add(1));
        Ok(())
    }

    fn is_forbidden(&self, now: Instant) -> bool {
        self.forbidden.is_some_and(|until| now < until)
    }

    async fn write(&self, key: &ObjectKey, patch: &Value) -> Result<K::State, WriteError> {
        let written = self.api.patch(key, patch).await;
        self.metrics.wrote(self.kind, written.as_ref().err());
        written
    }

    fn failed(&mut self, key: &ObjectKey, error: WriteError, now: Instant) -> Result<(), Halt> {
        self.states.remove(key);
        let kind = self.kind;
        match error {
            WriteError::Conflict(_) => {}
            WriteError::Gone(_) => self.rest(key, now + GONE, 0),
            WriteError::Forbidden(_) => {
                if self.forbidden.replace(now + FORBIDDEN).is_none() {
                    warn!(kind, %error, "a right is missing to write status; grant it; it is tried again every minute");
                }
            }
            WriteError::Refused(_) => {
                warn!(kind, object = %key, %error, "the API server refuses a change of status");
                self.rest(key, now + REFUSED, 0);
            }
            WriteError::Deposed | WriteError::Unavailable(_) => return Err(Halt(error)),
        }
        Ok(())
    }

    fn rest(&mut self, key: &ObjectKey, until: Instant, conflicts: u32) {
        self.rests.insert(key.clone(), Rest { until, conflicts });
    }
}

/// Takes some of two lists, so that neither waits for the other and together they are at most `limit`.
pub(super) fn share<'a>(
    mut one: Vec<&'a ObjectKey>,
    mut other: Vec<&'a ObjectKey>,
    limit: usize,
) -> (Vec<&'a ObjectKey>, Vec<&'a ObjectKey>) {
    let half = limit / 2;
    let of_one = limit - other.len().min(half);
    let of_other = limit - one.len().min(half);
    one.truncate(of_one);
    other.truncate(of_other);
    (one, other)
}

/// Namespaces to list, one by one; all at once where none are given.
pub(super) fn namespaces(names: &[String]) -> BTreeSet<Option<&str>> {
    if names.is_empty() {
        return BTreeSet::from([None]);
    }
    names.iter().map(|name| Some(name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_kind_waits_for_the_other() {
        let keys: Vec<_> = (0..20)
            .map(|n| ObjectKey::new("shop", n.to_string()))
            .collect();
        let shared = |one: usize, other: usize| {
            let some = |count: usize| keys.iter().take(count).collect();
            let (one, other) = share(some(one), some(other), 10);
            (one.len(), other.len())
        };
        assert_eq!(shared(20, 20), (5, 5));
        assert_eq!(shared(20, 0), (10, 0));
        assert_eq!(shared(2, 20), (2, 8));
        assert_eq!(shared(20, 2), (8, 2));
        assert_eq!(shared(3, 4), (3, 4));
    }
}
