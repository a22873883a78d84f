//! What to do about the CA, from the time and what is there. Pure, so that every replica decides the same.
//!
//! A CA signs from its beginning only where there is none before it. Every later one is announced first: clients must
//! have had time to read the bundle that holds it before they meet a certificate that it signed.

use std::time::{Duration, SystemTime};

/// How long a CA is valid: 10 years.
pub(super) const CA_LIFE: Duration = Duration::from_hours(10 * 365 * 24);
/// How long a serving certificate is valid.
pub(super) const SERVING_LIFE: Duration = Duration::from_hours(24);
/// How long a CA is in the bundle before it signs anything.
pub(super) const OVERLAP: Duration = Duration::from_hours(24);
/// How old a CA may be that is not in the bundle yet. Older ones are made anew, or they would sign too early.
const UNPUBLISHED: Duration = Duration::from_hours(1);

/// From when until when something is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

/// What there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// The CA that signs.
    pub(super) signer: Option<Lifetime>,
    /// The CA that will sign, and whether it is in the bundle.
    pub(super) next: Option<(Lifetime, bool)>,
    /// Whether the bundle holds exactly the CAs that are valid.
    pub(super) bundle_is_right: bool,
}

/// What to do. After each step one looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make a CA that signs at once.
    Begin,
    /// Make the next CA, in place of one that was waiting.
    Announce,
    /// Write the bundle.
    Publish,
    /// Let the next CA sign.
    Promote,
    /// Nothing is due.
    Wait,
}

impl Lifetime {
    /// Two thirds of it are over.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        let whole = self.until.duration_since(self.from).unwrap_or_default();
        now >= self.from + whole * 2 / 3
    }

    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        now >= self.until
    }

    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.from).unwrap_or_default()
    }
}

/// The next step.
pub(super) fn step(now: SystemTime, there: &Situation) -> Step {
    let signer = there.signer.filter(|signer| !signer.is_over(now));
    let next = there.next.filter(|(next, _)| !next.is_over(now));
    match (signer, next) {
        (None, _) => Step::Begin,
        (Some(signer), None) if signer.is_due(now) => Step::Announce,
        (Some(_), Some((next, false))) if next.age(now) > UNPUBLISHED => Step::Announce,
        (Some(_), Some((next, true))) if next.age(now) >= OVERLAP => Step::Promote,
        _ if !there.bundle_is_right => Step::Publish,
        _ => Step::Wait,
    }
}

#[cfg(test)]
mod tests;
