//! Numbers of marks by which packets reach a virtual server that has no address of its own.

use std::{fmt, net::IpAddr, num::NonZeroU32};

use meshlite_ipvs::{Family, ServiceKey};
use meshlite_snapshot::AddressFamily;

/// What all marks of ours have in common: the first byte, and that bits 14 and 15 are 0, which mean something in rules
/// that kubelet and kube-proxy leave.
const BASE: u32 = 0x6d00_0000;
const MASK: u32 = 0xff00_c000;
/// Bits that tell one of ours from another, below those two bits and above.
const LOW_BITS: u32 = 14;
const COUNT: u32 = 1 << 22;

/// The mark of packets for one virtual server, which several places may share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    number: NonZeroU32,
    family: AddressFamily,
}

// === impl Mark ===

impl Mark {
    /// One that is free, from the `start`th on and then from the first. None where all four million are taken.
    pub(super) fn free(
        family: AddressFamily,
        start: u32,
        is_taken: impl Fn(Self) -> bool,
    ) -> Option<Self> {
        let start = start % COUNT;
        (start..COUNT)
            .chain(0..start)
            .filter_map(|n| {
                let number = BASE | (n >> LOW_BITS) << (LOW_BITS + 2) | n & ((1 << LOW_BITS) - 1);
                Self::of(number, family)
            })
            .find(|mark| !is_taken(*mark))
    }

    /// The mark of this number, if it is one of ours.
    pub(super) fn of(number: u32, family: AddressFamily) -> Option<Self> {
        let number = NonZeroU32::new(number)?;
        (number.get() & MASK == BASE).then_some(Self { number, family })
    }

    /// The mark of a virtual server, if it has one of ours.
    pub(super) fn of_service(key: ServiceKey) -> Option<Self> {
        match key {
            ServiceKey::Mark { family, mark } => {
                let family = match family {
                    Family::V4 => AddressFamily::Ipv4,
                    Family::V6 => AddressFamily::Ipv6,
                };
                Self::of(mark.get(), family)
            }
            ServiceKey::Address { .. } => None,
        }
    }

    /// The virtual server of packets with this mark.
    pub(super) fn service_key(self) -> ServiceKey {
        let family = match self.family {
            AddressFamily::Ipv4 => Family::V4,
            AddressFamily::Ipv6 => Family::V6,
        };
        ServiceKey::Mark {
            family,
            mark: self.number,
        }
    }

    /// Whether packets to an address may have it.
    pub(super) fn is_of(self, address: IpAddr) -> bool {
        self.family == AddressFamily::of(address)
    }

    /// The mark as a packet has it.
    pub(super) const fn number(self) -> u32 {
        self.number.get()
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} {:?}", self.number, self.family)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_free_number_is_found_and_is_known_again() {
        let taken: BTreeSet<_> = (0..3)
            .filter_map(|n| Mark::of(BASE | n, AddressFamily::Ipv4))
            .collect();
        let free = |start| Mark::free(AddressFamily::Ipv4, start, |mark| taken.contains(&mark));
        for (start, expected) in [(0, 0x6d00_0003), (7, 0x6d00_0007), (COUNT, 0x6d00_0003)] {
            let mark = free(start).unwrap();
            assert_eq!(mark.number(), expected);
            assert_eq!(Mark::of_service(mark.service_key()), Some(mark));
        }
    }

    #[test]
    fn no_number_has_the_bits_of_kubelet_and_kube_proxy() {
        let at = |start| Mark::free(AddressFamily::Ipv6, start, |_| false).unwrap();
        assert_eq!(at((1 << LOW_BITS) - 1).number(), 0x6d00_3fff);
        assert_eq!(at(1 << LOW_BITS).number(), 0x6d01_0000);
        assert_eq!(at(COUNT - 1).number(), 0x6dff_3fff);
        for other in [0x4000, 0x8000, 0x6d00_4000, 0x6d00_8000, 0x6c00_0001] {
            assert_eq!(Mark::of(other, AddressFamily::Ipv6), None, "{other:#x}");
        }
    }
}
