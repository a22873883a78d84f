//! Learns whether clients have sent something by the time that they are accepted. Pure.

use std::cell::Cell;

/// All clients.
const WHOLE: u32 = 1 << 16;
/// One connection in so many is read from at once, whatever the others were like.
const MAX_PASSED: u32 = 16;

/// How many clients have sent something by the time that they are accepted. To read in vain costs a system call.
#[derive(Debug)]
pub(crate) struct Promptness {
    /// Of [`WHOLE`], the last ones counting most.
    share: Cell<u32>,
    /// Connections that were not read from at once, since the last that was.
    passed: Cell<u32>,
}

impl Default for Promptness {
    fn default() -> Self {
        Self {
            share: Cell::new(WHOLE),
            passed: Cell::new(0),
        }
    }
}

impl Promptness {
    /// Whether to read from a client that was just accepted.
    pub(super) fn is_worth_a_look(&self) -> bool {
        let passed = self.passed.get() + 1;
        let is_worth_it = self.share.get() >= WHOLE / 4 || passed == MAX_PASSED;
        self.passed.set(if is_worth_it { 0 } else { passed });
        is_worth_it
    }

    /// One that was looked at had sent something, or had not.
    pub(super) fn learn(&self, had_sent: bool) {
        let now = if had_sent { WHOLE } else { 0 };
        self.share.set((self.share.get() * 7 + now) / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_send_late_are_seldom_read_from_in_vain_until_they_send_early_again() {
        let promptness = Promptness::default();
        let looks = |had_sent: bool, connections: usize| {
            let look = |_: &usize| {
                let looks = promptness.is_worth_a_look();
                if looks {
                    promptness.learn(had_sent);
                }
                looks
            };
            (0..connections).filter(look).count()
        };
        assert_eq!(looks(true, 100), 100);
        assert!(looks(false, 100) < 20);
        assert_eq!(looks(false, 160), 10);
        assert!(looks(true, 100) > 40);
        assert_eq!(looks(true, 100), 100);
    }
}
