//! What becomes of new connections to a virtual server before they are balanced, and of their source addresses after:
//! a number, by which small verdict maps decide.

use crate::table::{Masquerade, WhenEmpty};

/// One of a few dozen kinds of virtual servers, for rules that do not know real servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behaviour {
    /// Whose source address is replaced.
    pub(crate) masquerade: Masquerade,
    /// What clients get without real servers.
    pub(crate) when_empty: WhenEmpty,
    /// Whether there are real servers for new connections.
    pub(crate) is_served: bool,
    /// Whether only clients in some ranges may connect.
    pub(crate) is_guarded: bool,
    /// Whether all other ports of the address are refused.
    pub(crate) is_closed: bool,
}

const MASQUERADES: [Masquerade; 3] = [Masquerade::Never, Masquerade::NotPods, Masquerade::Always];
const DROP: u32 = 1 << 2;
const SERVED: u32 = 1 << 3;
const GUARDED: u32 = 1 << 4;
const CLOSED: u32 = 1 << 5;
const END: u32 = 1 << 6;

impl Behaviour {
    /// Every one.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..END).filter_map(Self::from_number)
    }

    /// The number that maps have for it.
    pub(crate) fn number(self) -> u32 {
        let masquerade = match self.masquerade {
            Masquerade::Never => 0,
            Masquerade::NotPods => 1,
            Masquerade::Always => 2,
        };
        let bit = |is: bool, bit| if is { bit } else { 0 };
        masquerade
            | bit(self.when_empty == WhenEmpty::Drop, DROP)
            | bit(self.is_served, SERVED)
            | bit(self.is_guarded, GUARDED)
            | bit(self.is_closed, CLOSED)
    }

    /// What [`number`](Self::number) wrote.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        if number >= END {
            return None;
        }
        let masquerade = usize::try_from(number & 3).ok()?;
        let is = |bit| number & bit != 0;
        Some(Self {
            masquerade: *MASQUERADES.get(masquerade)?,
            when_empty: if is(DROP) {
                WhenEmpty::Drop
            } else {
                WhenEmpty::Reject
            },
            is_served: is(SERVED),
            is_guarded: is(GUARDED),
            is_closed: is(CLOSED),
        })
    }
}
