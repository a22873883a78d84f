//! Whether a commit, put on top of what is held, is what the server says it publishes.

use std::collections::BTreeMap;

use meshlite_snapshot::{Bucket, BucketDigests, SetDigest, Topic};

use super::{Held, Key, Sum};
use crate::{
    decode,
    session::staging::{Base, Damage, Staged, What},
    v1,
};

// === impl Held ===

impl Held {
    /// What is installed of all topics together, by bucket.
    pub(in crate::session) fn bucket_digests(&self) -> BucketDigests {
        let mut digests = BucketDigests::default();
        for (topic, set) in &self.sets {
            let mut of_topic = BucketDigests::default();
            for (name, entry) in &set.entries {
                if let Some(version) = entry.installed {
                    of_topic.add(name, version);
                }
            }
            for bucket in Bucket::all() {
                let digest = of_topic.get(bucket);
                if digest != SetDigest::default() {
                    digests.add_topic(topic.kind, bucket, digest);
                }
            }
        }
        digests
    }

    /// Whether these are the digests of all that was offered.
    pub(in crate::session) fn is_offered(&self, digests: &[v1::TopicDigest]) -> bool {
        let said = said(digests);
        let mut sets = self.sets.iter();
        said.is_ok_and(|said| sets.all(|(topic, set)| said.get(topic) == Some(&set.offered)))
    }

    /// Puts into a commit what it says without naming it: what is gone, and what stays as it is installed.
    ///
    /// A commit that follows on what was offered says everything by name, and costs no look at what is held.
    pub(in crate::session) fn complete(&self, staged: &mut Staged) {
        if staged.says_all() {
            return;
        }
        let mut implied = Vec::new();
        for (topic, set) in &self.sets {
            for (name, entry) in &set.entries {
                let key: Key = (*topic, name.clone());
                if staged.resources.contains_key(&key) {
                    continue;
                }
                if staged.replaces(*topic, name) {
                    implied.push((key, What::Removed));
                } else if staged.base == Base::Installed
                    && staged.covers(*topic)
                    && entry.offered != entry.installed
                {
                    implied.push((key, self.as_installed(*topic, name)));
                }
            }
        }
        staged.resources.extend(implied);
    }

    /// Proves that what is held with this commit, which is complete, is what the server says it is.
    pub(in crate::session) fn verify(
        &self,
        staged: &Staged,
        expected: &[v1::TopicDigest],
    ) -> Result<(), Damage> {
        let said = said(expected)?;
        for (topic, computed) in self.sums_with(staged) {
            let unchanged = self.sets.get(&topic).map(|set| set.offered) == Some(computed);
            let said = match said.get(&topic) {
                Some(said) => *said,
                None if staged.covers(topic) || !unchanged => return Err(Damage::Unproved(topic)),
                None => continue,
            };
            if said != computed {
                return Err(Damage::Digest {
                    topic,
                    expected: said.digest,
                    computed: computed.digest,
                    expected_count: said.count,
                    computed_count: computed.count,
                });
            }
        }
        Ok(())
    }

    /// What every set would be with this commit.
    fn sums_with(&self, staged: &Staged) -> BTreeMap<Topic, Sum> {
        let sums = self.sets.iter().map(|(topic, set)| (*topic, set.offered));
        let mut sums: BTreeMap<Topic, Sum> = sums.collect();
        for (key, what) in &staged.resources {
            if let Some(sum) = sums.get_mut(&key.0) {
                sum.change(&key.1, self.offered(key), what.version());
            }
        }
        sums
    }
}

/// What a server says about the topics that this build knows.
fn said(digests: &[v1::TopicDigest]) -> Result<BTreeMap<Topic, Sum>, Damage> {
    let mut said = BTreeMap::new();
    for digest in digests {
        let known = digest.topic.as_ref().map(decode::topic);
        let Some(Ok(topic)) = known else { continue };
        let (_, digest, count) = decode::topic_digest(digest).map_err(Damage::Expected)?;
        said.insert(topic, Sum { digest, count });
    }
    Ok(said)
}
