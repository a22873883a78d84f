//! Where two sets differ: one digest for each of 1,024 buckets of names, the same size whatever the sets hold.

use std::fmt;

use twox_hash::XxHash3_64;

use crate::{Name, ResourceType, SetDigest, Version};

/// One of [`Bucket::COUNT`] groups of names, by hash: below `COUNT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

/// The digest of each bucket: of one topic, or of several topics together.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketDigests(Box<[SetDigest]>);

// === impl Bucket ===

impl Bucket {
    /// How many there are.
    pub const COUNT: u16 = 1024;

    /// The bucket of a name, whatever the type of the resource: XXH3-64 of it modulo [`Bucket::COUNT`].
    pub fn of(name: &Name) -> Self {
        let bucket = XxHash3_64::oneshot(name.as_str().as_bytes()) % u64::from(Self::COUNT);
        Self(u16::try_from(bucket).unwrap_or(0))
    }

    /// The bucket with this number, if there is one.
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Every bucket, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its place in a list of all buckets.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

// === impl BucketDigests ===

impl BucketDigests {
    /// How many bytes stand for them on the wire.
    pub const BYTES: usize = Bucket::COUNT as usize * DIGEST_BYTES;

    /// Counts a member in.
    pub fn add(&mut self, name: &Name, version: Version) {
        self.0[Bucket::of(name).index()].add(name, version);
    }

    /// Takes a member out that was counted in.
    pub fn remove(&mut self, name: &Name, version: Version) {
        self.0[Bucket::of(name).index()].remove(name, version);
    }

    /// The digest of one bucket.
    pub fn get(&self, bucket: Bucket) -> SetDigest {
        self.0[bucket.index()]
    }

    /// Counts one bucket of a topic of this type in. Topics weigh differently, so that one name with the same bytes in
    /// another topic is another set.
    pub fn add_topic(&mut self, kind: ResourceType, bucket: Bucket, digest: SetDigest) {
        let sum = &mut self.0[bucket.index()];
        sum.0 = sum.0.wrapping_add(digest.0.wrapping_mul(weight(kind)));
    }

    /// The buckets whose digests differ, ascending.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Bucket> + use<'a> {
        Bucket::all().filter(|bucket| self.get(*bucket) != other.get(*bucket))
    }

    /// As they travel: big-endian, one after the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|digest| digest.0.to_be_bytes())
            .collect()
    }

    /// Those that travel as these bytes, if there are [`BucketDigests::BYTES`] of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (digests, rest) = bytes.as_chunks::<DIGEST_BYTES>();
        let is_all = digests.len() == usize::from(Bucket::COUNT) && rest.is_empty();
        is_all.then(|| {
            let digests = digests
                .iter()
                .map(|digest| SetDigest(u128::from_be_bytes(*digest)));
            Self(digests.collect())
        })
    }
}

impl Default for BucketDigests {
    fn default() -> Self {
        Self(vec![SetDigest::default(); usize::from(Bucket::COUNT)].into())
    }
}

impl fmt::Debug for BucketDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Bucket::all().filter(|bucket| self.get(*bucket) != SetDigest::default());
        f.debug_map()
            .entries(held.map(|bucket| (bucket.number(), self.get(bucket))))
            .finish()
    }
}

const DIGEST_BYTES: usize = size_of::<u128>();

/// Twice the type's number on the wire, plus one: odd, so that no digest is lost by it.
const fn weight(kind: ResourceType) -> u128 {
    let number = match kind {
        ResourceType::Service => 1,
        ResourceType::EndpointGroup => 2,
        ResourceType::Node => 3,
        ResourceType::Namespace => 4,
        ResourceType::Weights => 5,
        ResourceType::Listener => 6,
        ResourceType::RouteTable => 7,
        ResourceType::Cluster => 8,
        ResourceType::TlsSecret => 9,
        ResourceType::Credential => 12,
    };
    2 * number + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(name: &str) -> Name {
        Name::new(name).unwrap()
    }

    #[test]
    fn the_same_member_in_another_topic_is_another_set() {
        let mut topic = BucketDigests::default();
        topic.add(&name("a"), Version(1));
        let sum = |kind| {
            let mut sum = BucketDigests::default();
            for bucket in Bucket::all() {
                sum.add_topic(kind, bucket, topic.get(bucket));
            }
            sum
        };
        assert_ne!(sum(ResourceType::Node), sum(ResourceType::Namespace));
    }

    #[test]
    fn digests_of_another_length_are_none() {
        let bytes = BucketDigests::default().to_bytes();
        assert_eq!(bytes.len(), BucketDigests::BYTES);
        for wrong in [&bytes[1..], &[], &[bytes.as_slice(), &[0; 16]].concat()] {
            assert_eq!(BucketDigests::from_bytes(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn digests_differ_exactly_in_the_buckets_of_what_differs(
            held in proptest::collection::btree_map("[a-z]{1,6}", any::<u64>(), 0..40),
            changed in "[a-z]{1,6}",
            version in any::<u64>(),
        ) {
            let digests = |members: &std::collections::BTreeMap<String, u64>| {
                let mut digests = BucketDigests::default();
                for (member, version) in members {
                    digests.add(&name(member), Version(*version));
                }
                digests
            };
            let mut other = held.clone();
            let before = other.insert(changed.clone(), version);
            let (held, other) = (digests(&held), digests(&other));
            let differing: Vec<_> = held.differing(&other).collect();
            let expected = if before == Some(version) { vec![] } else { vec![Bucket::of(&name(&changed))] };
            prop_assert_eq!(differing, expected);
            prop_assert_eq!(BucketDigests::from_bytes(&held.to_bytes()), Some(held));
        }
    }
}
