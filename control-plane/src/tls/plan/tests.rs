//! Years of replicas that look at any time: no client ever meets a certificate that its bundle does not vouch for.

use proptest::prelude::*;

use super::*;

const START: Duration = Duration::from_hours(50 * 365 * 24);
/// How long a client keeps the bundle that it read.
const KEPT: Duration = Duration::from_hours(23);

fn at(hours: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + START + Duration::from_hours(hours)
}

/// CAs by number, as a store holds them.
#[derive(Default)]
struct Store {
    authorities: Vec<Lifetime>,
    signer: Option<usize>,
    next: Option<usize>,
    bundle: Vec<usize>,
    /// When each CA was first seen in the bundle.
    published: std::collections::BTreeMap<usize, SystemTime>,
}

impl Store {
    fn valid(&self, now: SystemTime) -> Vec<usize> {
        let is_valid = |index: &usize| !self.authorities[*index].is_over(now);
        (0..self.authorities.len()).filter(is_valid).collect()
    }

    fn situation(&self, now: SystemTime) -> Situation {
        Situation {
            signer: self.signer.map(|index| self.authorities[index]),
            next: self
                .next
                .map(|index| (self.authorities[index], self.bundle.contains(&index))),
            bundle_is_right: self.bundle == self.valid(now),
        }
    }

    /// Takes a step, and says which.
    fn turn(&mut self, now: SystemTime) -> Step {
        let step = step(now, &self.situation(now));
        match step {
            Step::Begin | Step::Announce => {
                let until = now + CA_LIFE;
                self.authorities.push(Lifetime { from: now, until });
                let index = self.authorities.len() - 1;
                if step == Step::Begin {
                    (self.signer, self.next) = (Some(index), None);
                } else {
                    self.next = Some(index);
                }
            }
            Step::Publish => {
                self.bundle = self.valid(now);
                for index in &self.bundle {
                    self.published.entry(*index).or_insert(now);
                }
            }
            Step::Promote => self.signer = self.next.take(),
            Step::Wait => {}
        }
        step
    }
}

proptest! {
    /// Replicas look at any intervals (also none for months); one may be killed after any step.
    #[test]
    fn what_signs_was_in_the_bundle_before_unless_there_was_no_other(
        looks in prop::collection::vec((0_u64..3000, 1_usize..6), 1..400),
    ) {
        let mut store = Store::default();
        let mut hours = 0;
        for (pause, steps) in looks {
            hours += pause;
            let now = at(hours);
            for _ in 0..steps {
                let had_signer = store.signer.is_some_and(|s| !store.authorities[s].is_over(now));
                match store.turn(now) {
                    Step::Wait => break,
                    Step::Begin => prop_assert!(!had_signer),
                    Step::Promote => {
                        let signer = store.signer.unwrap();
                        let since = store.published.get(&signer);
                        prop_assert!(since.is_some_and(|since| *since + KEPT <= now));
                        prop_assert!(store.bundle.contains(&signer));
                    }
                    Step::Announce | Step::Publish => {}
                }
            }
        }
    }

    /// A replica that looks often enough never lets the CA run out.
    #[test]
    fn a_replica_that_looks_every_month_always_has_a_ca_that_is_young_enough(months in 1_u64..600) {
        let mut store = Store::default();
        for month in 0..months {
            for hour in 0..3 {
                let now = at(month * 720 + hour * 24);
                while store.turn(now) != Step::Wait {}
                let signer = store.authorities[store.signer.unwrap()];
                prop_assert!(signer.until.duration_since(now).unwrap() > SERVING_LIFE);
            }
        }
        // About one in six years and eight months.
        prop_assert!(store.authorities.len() as u64 <= 1 + months / 79);
    }
}

#[test]
fn steps_come_in_their_order() {
    let mut store = Store::default();
    let two_thirds = 10 * 365 * 24 * 2 / 3;
    for (hours, expected) in [
        (0, Step::Begin),
        (0, Step::Publish),
        (0, Step::Wait),
        (two_thirds - 1, Step::Wait),
        (two_thirds, Step::Announce),
        (two_thirds, Step::Publish),
        (two_thirds, Step::Wait),
        (two_thirds + 23, Step::Wait),
        (two_thirds + 24, Step::Promote),
        (two_thirds + 24, Step::Wait),
        (10 * 365 * 24, Step::Publish),
        (10 * 365 * 24, Step::Wait),
    ] {
        assert_eq!(store.turn(at(hours)), expected, "after {hours} h");
    }
    assert_eq!(store.bundle, [1], "the old one is forgotten at its end");
}

#[test]
fn a_ca_that_was_published_late_is_made_anew() {
    let mut store = Store::default();
    while store.turn(at(0)) != Step::Wait {}
    let due = 10 * 365 * 24 * 2 / 3;
    assert_eq!(store.turn(at(due)), Step::Announce);
    assert_eq!(store.turn(at(due + 30)), Step::Announce);
    assert_eq!(store.turn(at(due + 30)), Step::Publish);
    assert_eq!(store.turn(at(due + 31)), Step::Wait);
    assert_eq!(store.turn(at(due + 54)), Step::Promote);
}
