//! One stream of a session: the order of messages, and the clocks.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Damage, HEARTBEAT, Reconnect, SILENCE,
    held::{Held, Position},
    staging::{Base, Staged, Staging},
};
use crate::{inflate::InflateError, v1};

/// The largest commit that is read, in bytes.
const MAX_COMMIT_BYTES: u64 = 1024 * 1024 * 1024;
/// The longest that a server can ask to wait before connecting again.
const LONGEST_DRAIN: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(super) struct Stream {
    opened: Instant,
    last_heard: Option<Instant>,
    next_heartbeat: Instant,
    /// What the next delta starts from.
    base: Option<Position>,
    /// The server was told what is installed, by bucket.
    told_buckets: bool,
    commits: u64,
    staging: Option<Staging>,
    /// A commit was damaged; a full one must come until then.
    full_by: Option<Instant>,
    /// The last proved commit.
    unacknowledged: Option<u64>,
    /// The one that the plane has, and since when.
    at_plane: Option<(u64, Instant)>,
    acknowledged_any: bool,
    drain: Option<(Instant, String)>,
}

/// How a server broke the protocol. The stream cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A message that has no place here.
    #[error("{0}")]
    Order(&'static str),
    /// Commits were lost or repeated.
    #[error("nonce {got} instead of {expected}")]
    #[expect(missing_docs, reason = "the message says it")]
    Nonce { expected: u64, got: u64 },
    /// A replica never goes back.
    #[error("generation {offered} of epoch {epoch} after {held}")]
    #[expect(missing_docs, reason = "the message says it")]
    WentBack {
        epoch: String,
        held: u64,
        offered: u64,
    },
    /// A delta that does not start at what is held.
    #[error("a delta from generation {from} of epoch {epoch}, which is not held")]
    #[expect(missing_docs, reason = "the message says it")]
    NotHeld { epoch: String, from: u64 },
    /// A commit mode that was not asked for.
    #[error("commit mode {0} was not asked for")]
    Mode(i32),
    /// An encoding that was not accepted.
    #[error("encoding {0} was not accepted")]
    Encoding(i32),
    /// More than this client is prepared to hold.
    #[error("a commit of {0} bytes is larger than {MAX_COMMIT_BYTES}")]
    TooLarge(u64),
    /// The decompressor could not be set up.
    #[error("cannot decompress: {0}")]
    Decompress(#[from] InflateError),
    /// Even a full commit was damaged.
    #[error("a full commit is damaged: {0}")]
    Damaged(Damage),
}

/// What follows from a damaged commit.
#[derive(Debug)]
pub(super) enum AfterDamage {
    AskForFull(u64, Damage),
    GiveUp(Fault),
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(now: Instant, cursor: Option<Position>) -> Self {
        Self {
            opened: now,
            last_heard: None,
            next_heartbeat: now + HEARTBEAT,
            base: cursor,
            told_buckets: false,
            commits: 0,
            staging: None,
            full_by: None,
            unacknowledged: None,
            at_plane: None,
            acknowledged_any: false,
            drain: None,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = Some(now);
    }

    pub(super) fn is_answered(&self) -> bool {
        self.last_heard.is_some()
    }

    pub(super) fn is_healthy(&self, now: Instant) -> bool {
        self.acknowledged_any || (self.is_answered() && now >= self.opened + SILENCE)
    }

    /// The server wants to know what is installed, by bucket: once, instead of a first commit.
    pub(super) fn asked(&mut self) -> Result<(), Fault> {
        if self.commits > 0 || std::mem::replace(&mut self.told_buckets, true) {
            return Err(Fault::Order(
                "digests are wanted after the first commit or twice",
            ));
        }
        Ok(())
    }

    /// Whether this heartbeat is about the last commit that was proved: the replica of this stream still publishes that.
    pub(super) fn is_about_offer(&self, beat: &v1::Heartbeat, held: &Held) -> bool {
        let of_this_stream = self.commits > 0 && self.base.as_ref() == held.offered_at();
        of_this_stream
            && held
                .offered_at()
                .is_some_and(|at| at.generation == beat.generation)
            && held.is_offered(&beat.digests)
    }

    pub(super) fn begin(&mut self, begin: v1::CommitBegin, held: &Held) -> Result<(), Fault> {
        if self.staging.is_some() {
            return Err(Fault::Order("a commit begins within another"));
        }
        let expected = self.commits + 1;
        if begin.nonce != expected {
            let got = begin.nonce;
            return Err(Fault::Nonce { expected, got });
        }
        if v1::Encoding::try_from(begin.encoding).is_err() {
            return Err(Fault::Encoding(begin.encoding));
        }
        let bytes = begin.bytes.max(begin.raw_bytes);
        if bytes > MAX_COMMIT_BYTES {
            return Err(Fault::TooLarge(bytes));
        }
        match begin.mode() {
            v1::CommitMode::Full => {}
            // After a damaged commit it is taken off the stream, but not used.
            v1::CommitMode::Delta if self.full_by.is_some() => {}
            v1::CommitMode::Delta => self.starts_at_base(&begin)?,
            v1::CommitMode::Buckets if self.told_buckets => {}
            v1::CommitMode::Buckets | v1::CommitMode::Unspecified => {
                return Err(Fault::Mode(begin.mode));
            }
        }
        if let Some(at) = held.offered_at()
            && at.epoch == begin.epoch
            && begin.generation < at.generation
        {
            return Err(Fault::WentBack {
                held: at.generation,
                offered: begin.generation,
                epoch: begin.epoch,
            });
        }
        let staging = Staging::new(begin.clone(), self.adds_to(&begin), held)?;
        self.commits = expected;
        self.staging = Some(staging);
        Ok(())
    }

    pub(super) fn chunk(&mut self, data: &[u8], held: &Held) -> Result<(), Fault> {
        let staging = self
            .staging
            .as_mut()
            .ok_or(Fault::Order("a chunk outside a commit"))?;
        staging.chunk(data, held);
        Ok(())
    }

    /// A whole, proved commit; none where it is not the full one that was asked for.
    pub(super) fn end(
        &mut self,
        now: Instant,
        end: &v1::CommitEnd,
        held: &Held,
    ) -> Result<Option<(Staged, Position)>, AfterDamage> {
        let Some(staging) = self.staging.take() else {
            let fault = Fault::Order("the end of a commit that did not begin");
            return Err(AfterDamage::GiveUp(fault));
        };
        let begin = staging.begin();
        let full = begin.mode() == v1::CommitMode::Full;
        let nonce = begin.nonce;
        let at = Position {
            epoch: begin.epoch.clone(),
            generation: begin.generation,
        };
        if !full && self.full_by.is_some() {
            return Ok(None);
        }
        match staging.end(end, held) {
            Ok(staged) => {
                self.base = Some(at.clone());
                self.full_by = None;
                self.unacknowledged = Some(nonce);
                Ok(Some((staged, at)))
            }
            Err(damage) if full => Err(AfterDamage::GiveUp(Fault::Damaged(damage))),
            Err(damage) => {
                self.full_by = Some(now + SILENCE);
                Err(AfterDamage::AskForFull(nonce, damage))
            }
        }
    }

    pub(super) fn drain(&mut self, now: Instant, drain: v1::Drain) {
        let after = drain
            .reconnect_after
            .and_then(|after| Duration::try_from(after).ok());
        let after = after.unwrap_or_default().min(LONGEST_DRAIN);
        self.drain = Some((now + after, drain.reason));
    }

    /// Why the stream should be closed now.
    pub(super) fn overdue(&self, now: Instant) -> Option<Reconnect> {
        if now >= self.last_heard.unwrap_or(self.opened) + SILENCE {
            return Some(Reconnect::Silent);
        }
        if self.full_by.is_some_and(|by| now >= by) {
            return Some(Reconnect::NoFull);
        }
        match &self.drain {
            Some((at, reason)) if now >= *at => Some(Reconnect::Drained(reason.clone())),
            _ => None,
        }
    }

    pub(super) fn heartbeat_due(&mut self, now: Instant) -> bool {
        let due = now >= self.next_heartbeat;
        if due {
            self.next_heartbeat = now + HEARTBEAT;
        }
        due
    }

    pub(super) fn next_deadline(&self) -> Instant {
        let silence = self.last_heard.unwrap_or(self.opened) + SILENCE;
        let drain = self.drain.as_ref().map(|(at, _)| *at);
        [self.full_by, drain]
            .into_iter()
            .flatten()
            .fold(silence.min(self.next_heartbeat), Instant::min)
    }

    /// The plane has the last proved commit.
    pub(super) fn delivered(&mut self, now: Instant) {
        self.at_plane = self.unacknowledged.take().map(|nonce| (nonce, now));
    }

    /// The plane has installed it: its nonce, and how long that took. None where it came over an earlier stream.
    pub(super) fn installed(&mut self, now: Instant) -> Option<(u64, Duration)> {
        let (nonce, since) = self.at_plane.take()?;
        self.acknowledged_any = true;
        Some((nonce, now - since))
    }

    /// The last proved commit changes nothing.
    pub(super) fn done(&mut self) -> Option<(u64, Duration)> {
        let nonce = self.unacknowledged.take()?;
        self.acknowledged_any = true;
        Some((nonce, Duration::ZERO))
    }

    /// What a commit adds to: only the first of a stream can be from another log.
    fn adds_to(&self, begin: &v1::CommitBegin) -> Base {
        let is_other = self
            .base
            .as_ref()
            .is_none_or(|base| base.epoch != begin.epoch);
        if self.commits == 0 && (is_other || begin.mode() == v1::CommitMode::Buckets) {
            Base::Installed
        } else {
            Base::Offered
        }
    }

    fn starts_at_base(&self, begin: &v1::CommitBegin) -> Result<(), Fault> {
        let starts = |base: &Position| {
            let first = self.commits == 0;
            base.generation == begin.from_generation && (first || base.epoch == begin.epoch)
        };
        if self.base.as_ref().is_some_and(starts) {
            return Ok(());
        }
        Err(Fault::NotHeld {
            epoch: begin.epoch.clone(),
            from: begin.from_generation,
        })
    }
}

// === impl Fault ===

impl Fault {
    /// Offering the same cursor again would end the same way.
    pub(super) fn forget_cursor(&self) -> bool {
        match self {
            Self::NotHeld { .. } | Self::Mode(_) | Self::Damaged(_) => true,
            Self::Order(_)
            | Self::Nonce { .. }
            | Self::WentBack { .. }
            | Self::Encoding(_)
            | Self::Decompress(_)
            | Self::TooLarge(_) => false,
        }
    }
}
