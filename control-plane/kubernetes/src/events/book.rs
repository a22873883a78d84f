//! Which Events to write now, without I/O: what holds, what was said when, and how much an object may cause.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{Notice, Posted, REPEAT};

/// Events that one object may cause at once, and how long until it may cause one more. As in client-go's spam filter.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_mins(5);
/// How long a message stays as it is, at least: numbers in it may change all the time.
const CHANGED: Duration = Duration::from_secs(30);
/// How long what was said is remembered after it stopped being true, as long as the server does: what comes and goes does
/// not begin anew each time.
const MEMORY: Duration = Duration::from_hours(1);
/// How many Events are remembered: the one that was said the longest ago is forgotten first. The server still has it.
const MOST: usize = 10_000;

/// What was said, by this process.
#[derive(Debug, Default)]
pub struct EventBook {
    said: BTreeMap<String, Said>,
    /// By UID.
    budgets: BTreeMap<String, Budget>,
}

#[derive(Debug)]
struct Said {
    /// None where the server did not take it.
    posted: Option<Posted>,
    /// When it was last said.
    at: Instant,
}

#[derive(Debug)]
struct Budget {
    left: u32,
    since: Instant,
}

impl Said {
    fn is_due(&self, notice: &Notice, now: Instant) -> bool {
        let is_changed = self
            .posted
            .as_ref()
            .is_some_and(|posted| posted.says != notice.says());
        now >= self.at + if is_changed { CHANGED } else { REPEAT }
    }
}

impl EventBook {
    /// Which of these to post, at most `limit`: new ones first, then those that were said the longest ago, each as it was
    /// left.
    pub fn due<'a>(
        &mut self,
        notices: &'a [Notice],
        limit: usize,
        now: Instant,
    ) -> Vec<(&'a Notice, Option<Posted>)> {
        self.said.retain(|_, said| now < said.at + MEMORY);
        self.budgets.retain(|_, budget| !budget.is_full(now));
        let mut wanted: Vec<_> = notices
            .iter()
            .filter_map(|notice| match self.said.get(&notice.name()) {
                None => Some((None, notice, None)),
                Some(said) if said.is_due(notice, now) => {
                    Some((Some(said.at), notice, said.posted.clone()))
                }
                Some(_) => None,
            })
            .collect();
        wanted.sort_by_key(|(at, ..)| *at);
        let mut due = Vec::new();
        for (_, notice, known) in wanted {
            if due.len() < limit && self.may_cause(&notice.subject.uid, now) {
                due.push((notice, known));
            }
        }
        due
    }

    /// It was posted.
    pub fn posted(&mut self, notice: &Notice, posted: Posted, now: Instant) {
        let at = now.checked_sub(posted.age).unwrap_or(now);
        self.said(notice, Some(posted), at);
    }

    /// It cannot be posted: it is not tried again before it would be repeated.
    pub fn refused(&mut self, notice: &Notice, now: Instant) {
        self.said(notice, None, now);
    }

    fn said(&mut self, notice: &Notice, posted: Option<Posted>, at: Instant) {
        self.said.insert(notice.name(), Said { posted, at });
        while self.said.len() > MOST {
            let oldest = self.said.iter().min_by_key(|(_, said)| said.at);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else {
                return;
            };
            self.said.remove(&name);
        }
    }

    fn may_cause(&mut self, uid: &str, now: Instant) -> bool {
        let full = Budget {
            left: BURST,
            since: now,
        };
        self.budgets.entry(uid.to_owned()).or_insert(full).take(now)
    }
}

impl Budget {
    fn refill(&mut self, now: Instant) {
        while self.left < BURST && now >= self.since + REFILL {
            self.left += 1;
            self.since += REFILL;
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.left == BURST {
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == BURST
    }
}

#[cfg(test)]
mod tests;
