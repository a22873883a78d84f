//! Which clients may come, by address.

use std::net::IpAddr;

use ipnet::IpNet;

/// Ranges that may come, and ranges that may not. What is in both may not; without a range that may, all others may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AccessList {
    allow: Ranges,
    deny: Ranges,
}

/// Ranges that do not overlap, by rising address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Box<[IpNet]>);

impl AccessList {
    /// None where everybody may come.
    pub(crate) fn new(allow: &[IpNet], deny: &[IpNet]) -> Option<Self> {
        let list = Self {
            allow: Ranges::new(allow),
            deny: Ranges::new(deny),
        };
        (!list.allow.0.is_empty() || !list.deny.0.is_empty()).then_some(list)
    }

    pub(crate) fn permits(&self, client: IpAddr) -> bool {
        !self.deny.contains(client) && (self.allow.0.is_empty() || self.allow.contains(client))
    }
}

impl Ranges {
    pub(crate) fn new(ranges: &[IpNet]) -> Self {
        let truncated = ranges.iter().map(IpNet::trunc).collect();
        let mut ranges = IpNet::aggregate(&truncated);
        ranges.sort_by_key(IpNet::network);
        Self(ranges.into())
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let after = self.0.partition_point(|range| range.network() <= address);
        let before = after.checked_sub(1).and_then(|at| self.0.get(at));
        before.is_some_and(|range| range.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn deny_wins_and_an_empty_allow_list_lets_all_in() {
        let permits = |allow: &[&str], deny: &[&str], ip: &str| {
            AccessList::new(&ranges(allow), &ranges(deny))
                .is_none_or(|list| list.permits(ip.parse().unwrap()))
        };
        assert!(permits(&[], &[], "10.0.0.1"));
        assert!(permits(&["10.0.0.0/8"], &[], "10.0.0.1"));
        assert!(permits(&["10.0.0.0/8"], &[], "::ffff:10.0.0.1"));
        assert!(!permits(&["10.0.0.0/8"], &[], "192.0.2.1"));
        assert!(!permits(&["10.0.0.0/8"], &["10.0.0.1/32"], "10.0.0.1"));
        assert!(permits(&[], &["10.0.0.0/8"], "192.0.2.1"));
        assert!(!permits(&["2001:db8::/32"], &[], "10.0.0.1"));
        assert!(permits(&["2001:db8::/32", "::/128"], &[], "2001:db8::1"));
    }

    proptest! {
        #[test]
        fn ranges_contain_what_one_of_them_does(
            nets in prop::collection::vec((0_u32..0x4_0000, 14_u8..=32), 0..8),
            address in 0_u32..0x4_0000,
        ) {
            let net = |(bits, length): &(u32, u8)| {
                IpNet::new(IpAddr::V4((*bits).into()), *length).unwrap()
            };
            let nets: Vec<IpNet> = nets.iter().map(net).collect();
            let address = IpAddr::V4(address.into());
            let expected = nets.iter().any(|net| net.contains(&address));
            prop_assert_eq!(Ranges::new(&nets).contains(address), expected);
        }
    }
}
