//! Ranges that addresses and ports are allocated from: deterministic, and one allocation never moves another.

use std::{net::IpAddr, ops::RangeInclusive};

use ipnet::IpNet;
use twox_hash::XxHash3_64;

/// Numbers to allocate from. As in Kubernetes its upper part is used first, so that explicit choices, which are
/// usually small numbers, seldom meet automatic ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Band {
    /// The first number.
    first: u128,
    /// Where the upper part begins.
    upper: u128,
    /// One past the last number.
    end: u128,
}

impl Band {
    /// `reserved` numbers at the start are used last.
    fn new(first: u128, end: u128, reserved: u128) -> Self {
        let end = end.max(first);
        Self {
            first,
            upper: (first + reserved).min(end),
            end,
        }
    }

    /// A free number for this name: where its hash points to, or the next one.
    pub(super) fn pick(self, name: &str, is_free: impl Fn(u128) -> bool) -> Option<u128> {
        let size = self.end - self.upper;
        let start = if size == 0 {
            self.upper
        } else {
            self.upper + u128::from(XxHash3_64::oneshot(name.as_bytes())) % size
        };
        (start..self.end)
            .chain(self.upper..start)
            .chain(self.first..self.upper)
            .find(|number| is_free(*number))
    }
}

/// The node ports that are allocated automatically.
pub(super) fn ports(range: &RangeInclusive<u16>) -> Band {
    let (first, end) = (u128::from(*range.start()), u128::from(*range.end()) + 1);
    let size = end.saturating_sub(first);
    let reserved = if size < 16 {
        0
    } else {
        (size / 32).clamp(16, 128)
    };
    Band::new(first, end, reserved.min(size))
}

/// The cluster IPs that are allocated automatically: not the network's own address, not IPv4's broadcast address, and
/// not the first, which belongs to the API server's own Service.
pub(super) fn addresses(range: &IpNet) -> Band {
    let network = number(range.network());
    let last = number(range.broadcast());
    let end = if matches!(range, IpNet::V4(_)) {
        last
    } else {
        last.saturating_add(1)
    };
    let first = network.saturating_add(2);
    let size = end.saturating_sub(first);
    let reserved = if size < 16 {
        0
    } else {
        (size / 16).clamp(16, 256)
    };
    Band::new(first, end, reserved.min(size))
}

/// An address as a number.
pub(super) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// A number as an address of this range's family.
pub(super) fn address(range: &IpNet, number: u128) -> Option<IpAddr> {
    match range {
        IpNet::V4(_) => u32::try_from(number)
            .ok()
            .map(|bits| IpAddr::V4(bits.into())),
        IpNet::V6(_) => Some(IpAddr::V6(number.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(range: &str) -> Vec<String> {
        let range: IpNet = range.parse().unwrap();
        let band = addresses(&range);
        let mut used = BTreeSet::new();
        while let Some(number) = band.pick("default/web", |n| !used.contains(&n)) {
            used.insert(number);
        }
        used.into_iter()
            .map(|n| address(&range, n).unwrap().to_string())
            .collect()
    }

    #[test]
    fn a_range_gives_out_every_address_but_those_with_a_meaning() {
        assert_eq!(
            all("10.0.0.0/29"),
            ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
        );
        assert_eq!(all("fd00::/126"), ["fd00::2", "fd00::3"]);
        for none in ["10.0.0.0/30", "10.0.0.0/31", "10.0.0.0/32", "fd00::/128"] {
            assert!(all(none).len() <= 1, "{none}: {:?}", all(none));
        }
        assert_eq!(all("10.0.0.0/24").len(), 253);
    }

    #[test]
    fn the_start_of_a_range_is_used_last() {
        let range: IpNet = "10.96.0.0/12".parse().unwrap();
        let band = addresses(&range);
        for i in 0..1000 {
            let number = band.pick(&format!("default/web-{i}"), |_| true).unwrap();
            let ip = address(&range, number).unwrap();
            assert!(ip >= "10.96.1.0".parse::<IpAddr>().unwrap(), "{ip}");
        }
        let ports = ports(&(30000..=32767));
        assert!(ports.pick("a", |_| true).unwrap() >= 30086);
        assert_eq!(ports.pick("a", |n| n == 30000), Some(30000));
    }

    #[test]
    fn the_largest_range_has_no_overflow() {
        for range in ["::/0", "0.0.0.0/0", "ffff::/16"] {
            let range: IpNet = range.parse().unwrap();
            assert!(addresses(&range).pick("a", |_| true).is_some(), "{range}");
        }
        assert_eq!(ports(&(65535..=65535)).pick("a", |_| true), Some(65535));
        #[expect(
            clippy::reversed_empty_ranges,
            reason = "settings are hostile until checked"
        )]
        let empty = ports(&(2..=1));
        assert_eq!(empty.pick("a", |_| true), None);
    }
}
