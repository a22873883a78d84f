//! One candidate's side of an election, without I/O: what was seen and when, and what to write.
//!
//! Nobody else's clock is believed. A candidate times the holder by its own monotonic clock, from when it last saw the
//! record change; the holder times itself from before it sent the renewal, by both of its clocks. So a holder's token
//! ends before anybody else may take the Lease, whatever is lost, late, frozen or suspended.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{LEASE, Token, record::Record};

/// What a candidate knows.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    observed: Option<Observed>,
    /// What is observed is what this candidate wrote last: it can be renewed without reading it again.
    is_fresh: bool,
    token: Option<Token>,
}

#[derive(Debug)]
struct Observed {
    record: Record,
    /// When it was first seen as it is.
    at: Instant,
}

impl Election {
    pub(super) fn new(identity: String) -> Self {
        Self {
            identity,
            observed: None,
            is_fresh: false,
            token: None,
        }
    }

    /// What to write to stay the leader; none where the Lease has to be read first.
    pub(super) fn renewal(&self, wall: Timestamp) -> Option<Record> {
        let observed = self.observed.as_ref()?;
        (self.is_fresh && observed.record.holder == self.identity)
            .then(|| self.claim(&observed.record, wall))
    }

    /// Takes in the Lease as it is, none where there is none, and says what to write to become or stay the leader; none
    /// while somebody else holds it.
    pub(super) fn read(
        &mut self,
        found: Option<Record>,
        now: Instant,
        wall: Timestamp,
    ) -> Option<Record> {
        let Some(record) = found else {
            self.observed = None;
            return Some(self.first(wall));
        };
        if record.holder != self.identity {
            self.token = None;
        }
        let known = self.observed.take();
        let observed = match known {
            Some(known) if known.record == record => known,
            Some(_) | None => Observed { record, at: now },
        };
        let Observed { record, at } = self.observed.insert(observed);
        let is_free = record.holder.is_empty()
            || record.holder == self.identity
            || now >= *at + record.duration;
        let record = record.clone();
        is_free.then(|| self.claim(&record, wall))
    }

    /// A claim that was sent at `sent`, by both clocks, is stored so.
    pub(super) fn written(&mut self, stored: Record, sent: (Instant, Timestamp), now: Instant) {
        let is_ours = stored.holder == self.identity;
        self.token = is_ours.then(|| Token::sent(sent.0, sent.1));
        self.is_fresh = is_ours;
        self.observed = Some(Observed {
            record: stored,
            at: now,
        });
    }

    /// A request failed, or nobody knows: the Lease has to be read.
    pub(super) fn failed(&mut self) {
        self.is_fresh = false;
    }

    /// Gives up what is held: the token at once, and the record to write so that nobody has to wait.
    pub(super) fn release(&mut self, wall: Timestamp) -> Option<Record> {
        self.token = None;
        let observed = self.observed.take()?;
        (observed.record.holder == self.identity).then(|| Record {
            holder: String::new(),
            duration: Duration::from_secs(1),
            acquired: Some(wall),
            renewed: Some(wall),
            ..observed.record
        })
    }

    pub(super) fn token(&self, now: Instant, wall: Timestamp) -> Option<Token> {
        self.token.filter(|token| token.is_valid(now, wall))
    }

    /// When somebody else may take the Lease unless its holder renews it; none where it was not seen.
    pub(super) fn free_at(&self) -> Option<Instant> {
        let observed = self.observed.as_ref()?;
        Some(observed.at + observed.record.duration)
    }

    /// Whoever the record names.
    pub(super) fn holder(&self) -> Option<&str> {
        let observed = self.observed.as_ref()?;
        Some(observed.record.holder.as_str()).filter(|holder| !holder.is_empty())
    }

    fn claim(&self, record: &Record, wall: Timestamp) -> Record {
        let is_ours = record.holder == self.identity;
        Record {
            holder: self.identity.clone(),
            duration: LEASE,
            acquired: if is_ours { record.acquired } else { Some(wall) },
            renewed: Some(wall),
            transitions: record.transitions.saturating_add(i32::from(!is_ours)),
            version: record.version.clone(),
            object: record.object.clone(),
        }
    }

    fn first(&self, wall: Timestamp) -> Record {
        Record {
            holder: self.identity.clone(),
            duration: LEASE,
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: 0,
            version: String::new(),
            object: None,
        }
    }
}

#[cfg(test)]
mod tests;
