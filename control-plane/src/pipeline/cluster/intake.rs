//! What came and is not published yet, and when it is to be. Pure: it is told the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use meshlite_compile::{Change, Delta, Effect, ObjectKey};
use meshlite_kubernetes::{Answer, Kind};
use meshlite_snapshot::{Finding, ObjectRef, Severity};
use tokio::time::Instant;

use crate::publish::Pace;

/// How long what takes something away waits at most.
const REMOVAL: Duration = Duration::from_millis(250);
/// How long Secrets are awaited that are named for the first time, so that they are not said to be missing.
const SECRETS: Duration = Duration::from_secs(1);
/// How often readers are shown how far the sources were read, where nothing else changes.
const READ_ON: Duration = Duration::from_secs(1);

type Watermark = (u64, Arc<str>);

#[derive(Debug)]
pub(super) struct Intake {
    streams: Vec<(Kind, Option<Watermark>)>,
    wanted: BTreeSet<ObjectKey>,
    /// What the API server said of wanted Secrets: why one may not be read, or nothing.
    answered: BTreeMap<ObjectKey, Option<String>>,
    /// What was applied since the compiler last ran.
    applied: Option<Applied>,
    /// What is compiled and not published.
    held: Option<Held>,
    /// When the sources were read on without a change that showed it.
    read_on: Option<Instant>,
    pace: Pace,
    was_published: bool,
}

#[derive(Clone, Copy, Debug)]
struct Applied {
    since: Instant,
    /// Since when something is to be taken away.
    takes_away: Option<Instant>,
    /// When the oldest change happened.
    changed: SystemTime,
    has_findings: bool,
}

#[derive(Debug)]
struct Held {
    turn: Turn,
    until: Instant,
}

/// What is to be published.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) delta: Delta,
    pub(super) changed: SystemTime,
    pub(super) has_findings: bool,
}

impl Intake {
    pub(super) fn new(streams: impl Iterator<Item = Kind>) -> Self {
        Self {
            streams: streams.map(|kind| (kind, None)).collect(),
            wanted: BTreeSet::new(),
            answered: BTreeMap::new(),
            applied: None,
            held: None,
            read_on: None,
            pace: Pace::default(),
            was_published: false,
        }
    }

    pub(super) fn wanted(&self) -> &BTreeSet<ObjectKey> {
        &self.wanted
    }

    pub(super) fn was_published(&self) -> bool {
        self.was_published
    }

    /// A stream was read up to here.
    pub(super) fn read(
        &mut self,
        stream: usize,
        watermark: Option<Watermark>,
        wall: SystemTime,
        now: Instant,
    ) {
        let was_complete = self.is_complete();
        let Some((_, read)) = self.streams.get_mut(stream) else {
            return;
        };
        if watermark.is_some() && *read != watermark {
            *read = watermark;
            self.read_on.get_or_insert(now);
        }
        if !was_complete && self.is_complete() {
            // Also where there is no object at all, that is published.
            self.changed(Some(Effect::Changes), wall, now);
        }
    }

    /// Objects were applied to the compiler.
    pub(super) fn changed(&mut self, effect: Option<Effect>, at: SystemTime, now: Instant) {
        let Some(effect @ (Effect::Changes | Effect::TakesAway)) = effect else {
            return;
        };
        let applied = self.apply(at, now);
        if effect == Effect::TakesAway {
            applied.takes_away.get_or_insert(now);
        }
    }

    fn apply(&mut self, at: SystemTime, now: Instant) -> &mut Applied {
        let applied = self.applied.get_or_insert(Applied {
            since: now,
            takes_away: None,
            changed: at,
            has_findings: false,
        });
        applied.changed = applied.changed.min(at);
        applied
    }

    /// What the compiler is to know of a Secret.
    pub(super) fn answered(
        &mut self,
        key: ObjectKey,
        answer: Answer,
        wall: SystemTime,
        now: Instant,
    ) -> Change {
        let (secret, why_not) = match answer {
            Answer::Found(secret) => (Some(secret), None),
            Answer::Missing => (None, None),
            Answer::Forbidden(why) => (None, Some(why)),
            Answer::Unwanted => {
                self.answered.remove(&key);
                return Change::Secret(key, None);
            }
        };
        let is_forbidden = why_not.is_some();
        let before = self.answered.insert(key.clone(), why_not);
        if is_forbidden != before.flatten().is_some() {
            self.apply(wall, now).has_findings = true;
        }
        Change::Secret(key, secret)
    }

    /// When the next turn is due, as things are at `now`.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if !self.is_complete() {
            return None;
        }
        let removal = self.applied.and_then(|applied| applied.takes_away);
        let removal = removal
            .filter(|_| self.was_published)
            .map(|since| since + REMOVAL);
        let regular = match (&self.held, &self.applied) {
            (Some(_), _) if self.is_answered() => Some(now),
            (Some(held), _) => self.was_published.then_some(held.until),
            (None, Some(applied)) => Some(self.pace.due(applied.since)),
            (None, None) => self.read_on.map(|since| since + READ_ON),
        };
        regular.into_iter().chain(removal).min()
    }

    /// A turn begins. Says whether there is something to compile.
    pub(super) fn start(&mut self, now: Instant) -> bool {
        if self.applied.is_some() && self.held.is_none() {
            self.pace.published(now);
        }
        self.applied.is_some()
    }

    /// What was applied is compiled, and these Secrets are wanted for it.
    pub(super) fn compiled(
        &mut self,
        delta: Delta,
        has_findings: bool,
        wanted: BTreeSet<ObjectKey>,
        now: Instant,
    ) {
        let Some(applied) = self.applied.take() else {
            return;
        };
        let has_findings = has_findings || applied.has_findings;
        self.answered.retain(|key, _| wanted.contains(key));
        self.wanted = wanted;
        let until = applied
            .takes_away
            .map_or(now + SECRETS, |since| since + REMOVAL);
        if let Some(held) = &mut self.held {
            held.turn.delta.merge(delta);
            held.turn.changed = held.turn.changed.min(applied.changed);
            held.turn.has_findings |= has_findings;
            held.until = held.until.min(until);
        } else {
            let turn = Turn {
                delta,
                changed: applied.changed,
                has_findings,
            };
            self.held = Some(Held { turn, until });
        }
    }

    /// What is to be published now.
    pub(super) fn release(&mut self, now: Instant) -> Option<Turn> {
        let until = self.held.as_ref()?.until;
        let is_overdue = self.was_published && now >= until;
        if !(self.is_answered() || is_overdue) {
            return None;
        }
        self.was_published = true;
        self.read_on = None;
        self.held.take().map(|held| held.turn)
    }

    pub(super) fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Readers are shown how far the sources were read.
    pub(super) fn read_on(&mut self) {
        self.read_on = None;
    }

    /// How far each kind was read: the namespace that was read least far decides.
    pub(super) fn watermarks(&self) -> BTreeMap<&'static str, Watermark> {
        let mut watermarks = BTreeMap::new();
        for (kind, watermark) in &self.streams {
            let Some((version, origin)) = watermark else {
                continue;
            };
            let least: &mut Watermark = watermarks
                .entry(kind.plural())
                .or_insert_with(|| (*version, Arc::clone(origin)));
            least.0 = least.0.min(*version);
        }
        watermarks
    }

    /// What is wrong with Secrets that the compiler cannot know.
    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> {
        self.answered.iter().filter_map(|(key, why_not)| {
            let why_not = why_not.as_deref()?;
            Some(Finding {
                severity: Severity::Error,
                object: ObjectRef::new("Secret", &key.namespace, &key.name),
                field: String::new(),
                reason: "SecretForbidden".into(),
                message: format!(
                    "{why_not}; allow the service account of the control plane to get it"
                ),
                source: None,
            })
        })
    }

    fn is_complete(&self) -> bool {
        self.streams
            .iter()
            .all(|(_, watermark)| watermark.is_some())
    }

    fn is_answered(&self) -> bool {
        self.wanted
            .iter()
            .all(|key| self.answered.contains_key(key))
    }
}

#[cfg(test)]
mod tests;
