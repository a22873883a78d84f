//! Versions are content: the hash of a resource's bytes, and one digest for a set of resources.

use std::fmt;

use serde::{Serialize, Serializer};
use twox_hash::{XxHash3_64, XxHash3_128};

use crate::Name;

/// The version of a resource: XXH3-64 of its body as it was sent, never of a re-encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version of these bytes.
    pub fn of(body: &[u8]) -> Self {
        Self(XxHash3_64::oneshot(body))
    }
}

/// What a set of resources is, whatever their order: the wrapping sum of XXH3-128(name, 0, version) over its members.
///
/// Adding and removing one member costs one hash. It guards against mistakes, not against an attacker.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SetDigest(pub(crate) u128);

impl SetDigest {
    /// How many hexadecimal digits stand for a digest.
    pub const DIGITS: usize = 32;

    /// Counts a member in.
    pub fn add(&mut self, name: &Name, version: Version) {
        self.0 = self.0.wrapping_add(Self::member(name, version));
    }

    /// Takes a member out that was counted in.
    pub fn remove(&mut self, name: &Name, version: Version) {
        self.0 = self.0.wrapping_sub(Self::member(name, version));
    }

    /// The digest that is shown like this, if it is [`SetDigest::DIGITS`] hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() != Self::DIGITS || !is_hex {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(Self)
    }

    fn member(name: &Name, version: Version) -> u128 {
        let name = name.as_str().as_bytes();
        let mut bytes = Vec::with_capacity(name.len() + 9);
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(&version.0.to_be_bytes());
        XxHash3_128::oneshot(&bytes)
    }
}

macro_rules! shown_as_hex {
    ($type:ty, $width:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $width, "x}"), self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

shown_as_hex!(Version, "16");
shown_as_hex!(SetDigest, "32");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(members: &[(Name, Version)]) -> SetDigest {
        let mut digest = SetDigest::default();
        for (name, version) in members {
            digest.add(name, *version);
        }
        digest
    }

    #[test]
    fn digest_tells_name_from_version() {
        let name = |n: &str| Name::new(n).unwrap();
        let one = digest(&[(name("a"), Version(1)), (name("b"), Version(2))]);
        let swapped = digest(&[(name("a"), Version(2)), (name("b"), Version(1))]);
        assert_ne!(one, swapped);
    }

    #[test]
    fn digest_is_read_as_it_is_shown() {
        let one = digest(&[(Name::new("a").unwrap(), Version(1))]);
        assert_eq!(SetDigest::from_hex(&one.to_string()), Some(one));
        let short = "0".repeat(31);
        for wrong in [
            "",
            &short,
            &format!("+{short}"),
            &format!("{short}g"),
            &format!("{short}00"),
        ] {
            assert_eq!(SetDigest::from_hex(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn version_is_published_xxh3() {
        // Test vector of the XXH3 specification: the empty input, seed 0.
        assert_eq!(Version::of(b"").to_string(), "2d06800538d394c2");
    }

    proptest! {
        #[test]
        fn digest_knows_no_order(mut members in proptest::collection::vec(("[a-z]{1,8}", any::<u64>()), 0..20)) {
            let set = |m: &[(String, u64)]| {
                let named: Vec<_> = m.iter().map(|(n, v)| (Name::new(n).unwrap(), Version(*v))).collect();
                digest(&named)
            };
            let forward = set(&members);
            members.reverse();
            prop_assert_eq!(forward, set(&members));
        }

        #[test]
        fn removing_what_was_added_changes_nothing(name in "[a-z]{1,8}", version in any::<u64>(), other in any::<u64>()) {
            let (name, version) = (Name::new(name).unwrap(), Version(version));
            let before = digest(&[(Name::new("other").unwrap(), Version(other))]);
            let mut after = before;
            after.add(&name, version);
            after.remove(&name, version);
            prop_assert_eq!(before, after);
        }
    }
}
