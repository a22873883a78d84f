//! Which Events to write now, without I/O: what holds, what was said when, and how much an object may cause.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::{Notice, Posted, REPEAT};

/// New Events that one object may cause at once, and how long until it may cause one more. As in client-go's spam filter.
const BURST: u32 = 25;
const REFILL: Duration = REPEAT;
/// How long what was said is remembered after it stopped being true, as long as the server does: what comes and goes does
/// not begin anew each time.
const MEMORY: Duration = Duration::from_hours(1);

/// What was said, by this process.
#[derive(Debug, Default)]
pub struct EventBook {
    said: BTreeMap<String, Said>,
    /// By UID.
    budgets: BTreeMap<String, Budget>,
}

#[derive(Debug)]
struct Said {
    count: i32,
    /// When it was last said.
    at: Instant,
}

#[derive(Debug)]
struct Budget {
    left: u32,
    since: Instant,
}

impl EventBook {
    /// Which of these to post, at most `limit`: new ones first, then those that were said the longest ago, each with how
    /// often it was said.
    pub fn due<'a>(
        &mut self,
        notices: &'a [Notice],
        limit: usize,
        now: Instant,
    ) -> Vec<(&'a Notice, Option<i32>)> {
        self.said.retain(|_, said| now < said.at + MEMORY);
        self.budgets.retain(|_, budget| !budget.is_full(now));
        let mut new = Vec::new();
        let mut old = Vec::new();
        for notice in notices {
            match self.said.get(&notice.name()) {
                None => new.push((notice, None)),
                Some(said) if now >= said.at + REPEAT => {
                    old.push((said.at, (notice, Some(said.count))));
                }
                Some(_) => {}
            }
        }
        old.sort_by_key(|(at, _)| *at);
        let mut due: Vec<_> = Vec::new();
        for (notice, known) in new {
            if due.len() < limit && self.may_begin(&notice.subject.uid, now) {
                due.push((notice, known));
            }
        }
        let rest = limit.saturating_sub(due.len());
        due.extend(old.into_iter().take(rest).map(|(_, repeated)| repeated));
        due
    }

    /// It was posted.
    pub fn posted(&mut self, notice: &Notice, posted: Posted, now: Instant) {
        let said = Said {
            count: posted.count,
            at: now.checked_sub(posted.age).unwrap_or(now),
        };
        self.said.insert(notice.name(), said);
    }

    /// It cannot be posted: it is not tried again before it would be repeated.
    pub fn refused(&mut self, notice: &Notice, now: Instant) {
        let count = self.said.get(&notice.name()).map_or(0, |said| said.count);
        let nothing = Posted {
            count,
            age: Duration::ZERO,
        };
        self.posted(notice, nothing, now);
    }

    fn may_begin(&mut self, uid: &str, now: Instant) -> bool {
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
mod tests {
    use super::{super::Subject, *};

    fn notices(uid: &str, count: usize) -> Vec<Notice> {
        let notice = |n: usize| Notice {
            subject: Subject {
                kind: "Ingress".into(),
                namespace: "shop".into(),
                name: "web".into(),
                uid: uid.into(),
            },
            reason: "Conflict".into(),
            about: n.to_string(),
            message: "no".into(),
        };
        (0..count).map(notice).collect()
    }

    fn say(book: &mut EventBook, notices: &[Notice], now: Instant) -> usize {
        let due = book.due(notices, usize::MAX, now);
        for (notice, known) in &due {
            let posted = Posted {
                count: known.unwrap_or(0) + 1,
                age: Duration::ZERO,
            };
            book.posted(notice, posted, now);
        }
        due.len()
    }

    #[test]
    fn what_lasts_is_repeated_every_five_minutes_and_what_is_over_is_not() {
        let mut book = EventBook::default();
        let start = Instant::now();
        let lasting = notices("u", 2);
        assert_eq!(say(&mut book, &lasting, start), 2);
        assert_eq!(say(&mut book, &lasting, start + REPEAT / 2), 0);
        assert_eq!(say(&mut book, &lasting[..1], start + REPEAT), 1);
        let again = book.due(&lasting, 9, start + REPEAT * 2).len();
        assert_eq!(again, 2);
    }

    #[test]
    fn an_object_with_many_problems_is_bounded_and_disturbs_no_other() {
        let mut book = EventBook::default();
        let start = Instant::now();
        let noisy = notices("noisy", 100);
        assert_eq!(say(&mut book, &noisy, start), 25);
        assert_eq!(say(&mut book, &notices("quiet", 1), start), 1);
        // One more may begin; the others are repeated.
        assert_eq!(say(&mut book, &noisy, start + REFILL), 1 + 25);
    }

    #[test]
    fn an_event_of_another_leader_is_left_alone_until_it_is_old() {
        let mut book = EventBook::default();
        let now = Instant::now() + MEMORY;
        let notice = &notices("u", 1)[0];
        let age = Duration::from_mins(4);
        book.posted(notice, Posted { count: 7, age }, now);
        let all = std::slice::from_ref(notice);
        assert_eq!(book.due(all, 9, now), []);
        let later = now + Duration::from_mins(1);
        assert_eq!(book.due(all, 9, later), [(notice, Some(7))]);
    }

    #[test]
    fn new_notices_come_before_repeated_ones() {
        let mut book = EventBook::default();
        let start = Instant::now();
        let all = notices("u", 3);
        say(&mut book, &all[..2], start);
        let due = book.due(&all, 1, start + REPEAT);
        assert_eq!(due, [(&all[2], None)]);
    }
}
