//! Follows one collection of objects: what to ask the API server next, and what its answers change. No I/O.
//!
//! ```text
//! behind ── list, page by page, or stream ──> listed ── differences, exact deletes ──> watching ─┐
//!    ^                                           │ older than what is held: refused              │ events
//!    └──────────── 410 Gone, another cluster ────┴───────────────────────────────────────────────┘
//! ```

mod listing;

use std::{sync::Arc, time::Duration};

use meshlite_compile::ObjectKey;
use tokio::time::Instant;

use self::listing::Listing;
use super::{
    backoff::Backoff,
    known::{Identity, Known},
};

/// A watch that ends sooner than this and brought nothing was no success.
const SHORT: Duration = Duration::from_secs(1);
/// The longest that a server may ask to be left alone.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// What to ask the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The objects as events, then what happens to them.
    Stream,
    /// A page of the objects, after `token` where it is not the first.
    List {
        token: Option<String>,
        /// Pages at all: a server that forgets where a page ended is asked for everything at once.
        paged: bool,
    },
    /// What happened after this version.
    Watch { after: u64 },
}

/// An object as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item<T> {
    pub(super) key: ObjectKey,
    pub(super) identity: Identity,
    /// None where it cannot be read: what was read of it before stays.
    pub(super) object: Option<T>,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub(super) struct Page<T> {
    pub(super) version: u64,
    pub(super) items: Vec<Item<T>>,
    /// Where the next page begins.
    pub(super) token: Option<String>,
}

/// An event of a watch.
#[derive(Clone, Debug)]
pub(super) enum Event<T> {
    Put(Item<T>),
    Gone(ObjectKey, Identity),
    Bookmark {
        version: u64,
        /// All objects that there were have been sent.
        ends_list: bool,
    },
}

/// What became of the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome<T> {
    Put(ObjectKey, T),
    Gone(ObjectKey),
}

/// Why an answer ended that should not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("the API server has forgotten the version that was asked for (410 Gone)")]
    Expired,
    /// It does not do what was asked, and says so or sends nothing.
    #[error("the API server does not stream lists: {0}")]
    Unsupported(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("the API server is busy: {text}")]
    Busy { text: String, rest: Duration },
    #[error("{0}")]
    Broken(String),
    #[error(
        "the API server's list has version {listed}, older than {held}, which is held: it was restored from a backup or \
         lags behind; nothing is taken from it until it has caught up (restart the control plane to accept it as it is)"
    )]
    Stale { listed: u64, held: u64 },
}

/// One collection of objects, followed.
#[derive(Debug)]
pub(super) struct Reflector<T> {
    known: Known,
    phase: Phase<T>,
    /// Everything up to here was taken in; none before the first list was complete.
    watermark: Option<u64>,
    /// Whose versions they are; empty where the cluster does not say.
    origin: Arc<str>,
    streams: bool,
    paged: bool,
    was_complete: bool,
    backoff: Backoff,
}

#[derive(Debug)]
enum Phase<T> {
    Behind,
    Listing(Listing<T>),
    Watching { had_events: bool },
}

impl<T> Reflector<T> {
    /// Holds nothing.
    pub(super) fn new(known: Known) -> Self {
        Self {
            known,
            phase: Phase::Behind,
            watermark: None,
            origin: Arc::default(),
            streams: true,
            paged: true,
            was_complete: false,
            backoff: Backoff::default(),
        }
    }

    /// Up to where everything was taken in, and whose versions that is.
    pub(super) fn watermark(&self) -> Option<(u64, &Arc<str>)> {
        Some((self.watermark?, &self.origin))
    }

    /// Whether the server is still believed to stream lists.
    pub(super) fn may_stream(&self) -> bool {
        self.streams && !self.is_watching()
    }

    pub(super) fn is_watching(&self) -> bool {
        matches!(self.phase, Phase::Watching { .. })
    }

    /// What to ask now, of the cluster that this is now.
    pub(super) fn ask(&mut self, origin: &Arc<str>) -> Ask {
        if !origin.is_empty() && *origin != self.origin {
            if !self.origin.is_empty() {
                // Another cluster: its versions say nothing about those that are held, its objects replace them all.
                self.watermark = None;
                self.phase = Phase::Behind;
            }
            self.origin = Arc::clone(origin);
        }
        match (&mut self.phase, self.watermark) {
            (Phase::Listing(listing), _) if let Some(token) = listing.next_page() => Ask::List {
                token: Some(token),
                paged: true,
            },
            (Phase::Watching { had_events }, Some(after)) => {
                *had_events = false;
                Ask::Watch { after }
            }
            _ => {
                // What comes the first time is handed on as it comes: nothing can be taken away by it.
                self.phase = Phase::Listing(Listing::new(!self.was_complete));
                if self.streams {
                    return Ask::Stream;
                }
                Ask::List {
                    token: None,
                    paged: self.paged,
                }
            }
        }
    }

    /// Takes in a page of a list.
    pub(super) fn page(&mut self, page: Page<T>) -> Result<Vec<Outcome<T>>, Failure> {
        let Page {
            version,
            items,
            token,
        } = page;
        self.refuse_older(version)?;
        let Phase::Listing(listing) = &mut self.phase else {
            return Err(unasked("a page of a list"));
        };
        let mut outcomes = Vec::new();
        for item in items {
            outcomes.extend(listing.put(item, &self.known));
        }
        match token.filter(|token| !token.is_empty()) {
            Some(token) => listing.continue_at(token),
            None => outcomes.extend(self.listed(version)),
        }
        Ok(outcomes)
    }

    /// Takes in an event of a stream or a watch.
    pub(super) fn event(&mut self, event: Event<T>) -> Result<Vec<Outcome<T>>, Failure> {
        match &mut self.phase {
            Phase::Listing(listing) => match event {
                Event::Put(item) => Ok(listing.put(item, &self.known).into_iter().collect()),
                Event::Gone(key, _) => Ok(listing.gone(key, &self.known).into_iter().collect()),
                Event::Bookmark {
                    version,
                    ends_list: true,
                } => {
                    self.refuse_older(version)?;
                    Ok(self.listed(version))
                }
                Event::Bookmark {
                    ends_list: false, ..
                } => Ok(Vec::new()),
            },
            Phase::Watching { had_events } => {
                *had_events = true;
                Ok(self.happened(event).into_iter().collect())
            }
            Phase::Behind => Err(unasked("an event")),
        }
    }

    /// The server ended a watch that was asked for `lived` ago. Says how long to wait before asking again.
    pub(super) fn ended(&mut self, lived: Duration, now: Instant, chance: f64) -> Duration {
        match self.phase {
            Phase::Watching { had_events } if had_events || lived >= SHORT => Duration::ZERO,
            Phase::Watching { .. } => self.backoff.after_failure(now, chance),
            Phase::Behind | Phase::Listing(_) => {
                self.phase = Phase::Behind;
                self.backoff.after_failure(now, chance)
            }
        }
    }

    /// An answer failed. Says how long to wait before asking again.
    pub(super) fn failed(&mut self, failure: &Failure, now: Instant, chance: f64) -> Duration {
        let was_paging = matches!(&self.phase, Phase::Listing(listing) if listing.is_paging());
        if !self.is_watching() || *failure == Failure::Expired {
            self.phase = Phase::Behind;
        }
        let wait = |backoff: &mut Backoff| backoff.after_failure(now, chance);
        match failure {
            Failure::Unsupported(_) if self.may_stream() => {
                self.streams = false;
                Duration::ZERO
            }
            Failure::Expired if was_paging => {
                self.paged = false;
                wait(&mut self.backoff)
            }
            Failure::Busy { rest, .. } => wait(&mut self.backoff).max(LONGEST_REST.min(*rest)),
            Failure::Expired
            | Failure::Unsupported(_)
            | Failure::Forbidden(_)
            | Failure::Broken(_)
            | Failure::Stale { .. } => wait(&mut self.backoff),
        }
    }

    /// A list that is older than what is held would take away what came since.
    fn refuse_older(&self, listed: u64) -> Result<(), Failure> {
        match self.watermark {
            Some(held) if listed < held => Err(Failure::Stale { listed, held }),
            Some(_) | None => Ok(()),
        }
    }

    /// All objects of the list have come.
    fn listed(&mut self, version: u64) -> Vec<Outcome<T>> {
        let watching = Phase::Watching { had_events: true };
        let Phase::Listing(listing) = std::mem::replace(&mut self.phase, watching) else {
            return Vec::new();
        };
        self.watermark = Some(version);
        self.was_complete = true;
        self.paged = true;
        listing.complete(&self.known)
    }

    /// An event after the list. What is not newer than what was taken in is a repetition.
    fn happened(&mut self, event: Event<T>) -> Option<Outcome<T>> {
        let version = match &event {
            Event::Put(item) => item.identity.version,
            Event::Gone(_, identity) => identity.version,
            Event::Bookmark { version, .. } => *version,
        };
        if self.watermark.is_some_and(|watermark| version <= watermark) {
            return None;
        }
        self.watermark = Some(version);
        match event {
            Event::Put(Item {
                key,
                identity,
                object,
            }) => {
                let object = object?;
                self.known.put(key.clone(), identity);
                Some(Outcome::Put(key, object))
            }
            Event::Gone(key, _) => self.known.remove(&key).then_some(Outcome::Gone(key)),
            Event::Bookmark { .. } => None,
        }
    }
}

fn unasked(what: &str) -> Failure {
    Failure::Broken(format!("the API server sent {what} that was not asked for"))
}

#[cfg(test)]
mod tests;
