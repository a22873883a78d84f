//! Candidates on clocks of their own, and a network that loses, delays and repeats nothing twice.

use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::prelude::*;

use super::*;

const RETRY_MS: u64 = 2_000;

/// One request's fate: milliseconds to the server and back, and whether either way is lost.
#[derive(Clone, Copy, Debug)]
struct Fate {
    there: u64,
    back: u64,
    is_lost: bool,
    is_answer_lost: bool,
    /// How long the candidate is frozen before it goes on.
    frozen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Begin,
    Read,
    Found { frozen: u64 },
    Write,
    Stored { is_answered: bool },
}

/// The API server, and what is on its way to each candidate.
struct World {
    stored: Option<Record>,
    versions: u64,
    queue: BinaryHeap<Reverse<(u64, usize, Event)>>,
    fates: Vec<Fate>,
    next_fate: usize,
    candidates: Vec<Candidate>,
    /// (candidate, from, until) of every token, by true time.
    tokens: Vec<(usize, u64, u64)>,
}

struct Candidate {
    election: Election,
    base: Instant,
    /// Milliseconds of its monotonic clock in a thousand of true time; none while the machine is suspended. The wall
    /// clock goes by true time.
    rate: u64,
    sent: (Instant, Timestamp),
    outgoing: Option<Record>,
    incoming: Option<Record>,
    fate: Option<Fate>,
}

impl Candidate {
    fn clock(&self, time: u64) -> Instant {
        self.base + Duration::from_micros(time * self.rate)
    }

    /// When a token ends, by true time.
    fn end(&self, token: Token) -> u64 {
        let micros = token.until.duration_since(self.base).as_micros();
        let by_monotonic = u64::try_from(micros).unwrap().checked_div(self.rate);
        let by_wall = u64::try_from(token.wall.1.as_millisecond()).unwrap();
        by_monotonic.unwrap_or(u64::MAX).min(by_wall)
    }
}

fn wall(time: u64) -> Timestamp {
    Timestamp::from_millisecond(time.try_into().unwrap()).unwrap()
}

impl World {
    fn new(rates: &[u64], fates: Vec<Fate>) -> Self {
        let base = Instant::now();
        let candidate = |(n, rate): (usize, &u64)| Candidate {
            election: Election::new(format!("candidate_{n}")),
            base: base + Duration::from_secs(1_000 * n as u64),
            rate: *rate,
            sent: (base, Timestamp::UNIX_EPOCH),
            outgoing: None,
            incoming: None,
            fate: None,
        };
        let candidates: Vec<_> = rates.iter().enumerate().map(candidate).collect();
        let begin = |n: usize| Reverse((100 * n as u64, n, Event::Begin));
        Self {
            stored: None,
            versions: 0,
            queue: (0..candidates.len()).map(begin).collect(),
            fates,
            next_fate: 0,
            candidates,
            tokens: Vec::new(),
        }
    }

    fn run(&mut self, until: u64) {
        let is_due = |Reverse((time, _, _)): &Reverse<(u64, usize, Event)>| *time <= until;
        while self.queue.peek().is_some_and(is_due) {
            if let Some(Reverse((time, n, event))) = self.queue.pop() {
                self.step(time, n, event);
            }
        }
    }

    fn at(&mut self, time: u64, n: usize, event: Event) {
        self.queue.push(Reverse((time, n, event)));
    }

    fn fate(&mut self) -> Fate {
        self.next_fate += 1;
        self.fates[self.next_fate % self.fates.len()]
    }

    /// Sends a request, and says when it arrives; the answer that never comes counts as failed after 5 s.
    fn send(&mut self, time: u64, n: usize, event: Event) {
        let fate = self.fate();
        self.candidates[n].fate = Some(fate);
        self.candidates[n].sent = (self.candidates[n].clock(time), wall(time));
        // Frozen between taking the time and sending.
        let time = time + fate.frozen;
        if fate.is_lost {
            self.candidates[n].election.failed();
            self.at(time + 5_000, n, Event::Begin);
        } else {
            self.at(time + fate.there, n, event);
        }
    }

    fn step(&mut self, time: u64, n: usize, event: Event) {
        let fate = self.candidates[n].fate;
        match event {
            Event::Begin => match self.candidates[n].election.renewal(Timestamp::UNIX_EPOCH) {
                Some(record) => {
                    self.candidates[n].outgoing = Some(record);
                    self.send(time, n, Event::Write);
                }
                None => self.send(time, n, Event::Read),
            },
            Event::Read => {
                let fate = fate.unwrap();
                self.candidates[n].incoming = self.stored.clone();
                if fate.is_answer_lost {
                    self.candidates[n].election.failed();
                    self.at(time + 5_000, n, Event::Begin);
                } else {
                    let frozen = fate.frozen;
                    self.at(time + fate.back, n, Event::Found { frozen });
                }
            }
            Event::Found { frozen } => {
                let candidate = &mut self.candidates[n];
                let now = candidate.clock(time);
                let found = candidate.incoming.take();
                let claim = candidate.election.read(found, now, Timestamp::UNIX_EPOCH);
                candidate.outgoing = claim;
                if candidate.outgoing.is_some() {
                    self.send(time + frozen, n, Event::Write);
                } else {
                    self.at(time + RETRY_MS, n, Event::Begin);
                }
            }
            Event::Write => {
                let fate = fate.unwrap();
                let claim = self.candidates[n].outgoing.take().unwrap();
                let current = self.stored.as_ref().map_or("", |stored| &stored.version);
                let is_stored = current == claim.version;
                if is_stored {
                    self.versions += 1;
                    let version = self.versions.to_string();
                    self.stored = Some(Record { version, ..claim });
                    self.candidates[n].incoming = self.stored.clone();
                }
                let is_answered = is_stored && !fate.is_answer_lost;
                self.at(time + fate.back, n, Event::Stored { is_answered });
            }
            Event::Stored { is_answered } => {
                let candidate = &mut self.candidates[n];
                let now = candidate.clock(time);
                if is_answered {
                    let stored = candidate.incoming.take().unwrap();
                    candidate.election.written(stored, candidate.sent, now);
                    if let Some(token) = candidate.election.token(now, wall(time)) {
                        let until = candidate.end(token);
                        self.tokens.push((n, time, until));
                    }
                } else {
                    candidate.election.failed();
                }
                self.at(time + RETRY_MS, n, Event::Begin);
            }
        }
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let milliseconds = || prop_oneof![8 => 0_u64..50, 2 => 0_u64..4_000, 1 => 0_u64..40_000];
    let lost = || prop::bool::weighted(0.2);
    let frozen = prop_oneof![9 => Just(0_u64), 1 => 0_u64..60_000];
    let fate = (milliseconds(), milliseconds(), lost(), lost(), frozen).prop_map(
        |(there, back, is_lost, is_answer_lost, frozen)| Fate {
            there,
            back,
            is_lost,
            is_answer_lost,
            frozen,
        },
    );
    prop::collection::vec(fate, 1..60)
}

proptest! {
    #[test]
    fn never_two_tokens_are_valid_at_one_instant(
        rates in prop::collection::vec(prop_oneof![9 => 850_u64..1_150, 1 => Just(0)], 2..5),
        fates in fates(),
    ) {
        let mut world = World::new(&rates, fates);
        world.run(600_000);
        for (i, (n, from, until)) in world.tokens.iter().enumerate() {
            for (other, other_from, other_until) in &world.tokens[i + 1..] {
                let apart = other == n || other_from >= until || from >= other_until;
                prop_assert!(
                    apart,
                    "{n} from {from} to {until} and {other} from {other_from} to {other_until}"
                );
            }
        }
    }

    #[test]
    fn a_network_that_works_again_has_a_leader_soon(
        rates in prop::collection::vec(850_u64..1_150, 1..5),
        mut fates in fates(),
    ) {
        let mut world = World::new(&rates, std::mem::take(&mut fates));
        world.run(200_000);
        let good = Fate { there: 5, back: 5, is_lost: false, is_answer_lost: false, frozen: 0 };
        world.fates = vec![good];
        // What was delayed the longest arrives, a lease runs out, and somebody looks.
        let calm = 200_000 + 145_000;
        world.run(calm + 60_000);
        let leads = |time: u64| world.tokens.iter().any(|(_, from, until)| (*from..*until).contains(&time));
        for time in (calm..calm + 50_000).step_by(1_000) {
            prop_assert!(leads(time), "nobody leads at {time}: {:?}", world.tokens);
        }
    }
}

fn record(holder: &str, version: &str) -> Record {
    Record {
        holder: holder.into(),
        duration: LEASE,
        acquired: None,
        renewed: None,
        transitions: 4,
        version: version.into(),
        object: None,
    }
}

#[test]
fn a_holder_is_timed_from_when_its_record_was_last_seen_to_change() {
    let mut election = Election::new("b_1".into());
    let start = Instant::now();
    let wall = Timestamp::UNIX_EPOCH;
    let mut look = |version, seconds| {
        let now = start + Duration::from_secs(seconds);
        election.read(Some(record("a_1", version)), now, wall)
    };
    assert_eq!(look("1", 0), None);
    assert_eq!(look("2", 14), None);
    assert_eq!(look("2", 28), None);
    let claim = look("2", 29).unwrap();
    assert_eq!((claim.transitions, claim.version.as_str()), (5, "2"));
}

#[test]
fn a_released_lease_is_free_at_once_and_its_transitions_are_kept() {
    let wall = Timestamp::UNIX_EPOCH;
    let now = Instant::now();
    let mut first = Election::new("a_1".into());
    first.written(record("a_1", "1"), (now, wall), now);
    assert!(first.token(now, wall).is_some());
    let released = first.release(wall).unwrap();
    assert_eq!(first.token(now, wall), None);
    assert_eq!((released.holder.as_str(), released.transitions), ("", 4));
    let mut second = Election::new("b_1".into());
    assert_eq!(
        second.read(Some(released), now, wall).unwrap().transitions,
        5
    );
}

#[test]
fn a_lease_that_somebody_else_was_given_takes_the_token_away() {
    let (now, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
    let mut election = Election::new("a_1".into());
    election.written(record("a_1", "1"), (now, wall), now);
    assert_eq!(election.read(Some(record("b_1", "2")), now, wall), None);
    assert_eq!(election.token(now, wall), None);
}
