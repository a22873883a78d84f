//! Where a client stands: small, because there is one for each of thousands of streams, and cheap to clone.

use std::sync::Arc;

use meshlite_proto::{decode, v1};
use meshlite_snapshot::Topic;

use crate::publish::{TopicSet, TopicState, digests};

/// What was sent to a client and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(super) sent_generation: u64,
    /// As the client counts: the generation of the last commit that it installed, on this stream or before.
    pub(super) installed_generation: u64,
    /// As this replica counts: it holds what was published then, or says what it rejected of it. None: not known yet.
    pub(super) position: Option<u64>,
    /// What its last commit says that it holds, in the order of its topics.
    pub(super) expected: Option<Arc<[TopicState]>>,
    pub(super) reported: Reported,
    /// Everything that the client does not serve as it was sent, as it last said.
    pub(super) rejections: Arc<[v1::Rejection]>,
}

/// What a client says that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reported {
    Nothing,
    /// What is expected.
    Expected,
    Other(Arc<[(Topic, TopicState)]>),
}

// === impl Standing ===

impl Standing {
    pub(super) fn new(installed_generation: u64) -> Self {
        Self {
            sent_generation: 0,
            installed_generation,
            position: None,
            expected: None,
            reported: Reported::Nothing,
            rejections: Arc::default(),
        }
    }

    /// The generation of this replica whose content the client was proved to have been given.
    pub(crate) fn position(&self) -> Option<u64> {
        self.position
    }

    /// Whether the client has proved that it holds exactly what it was last sent.
    pub(crate) fn is_converged(&self) -> bool {
        self.reported == Reported::Expected
    }

    /// The client says that it holds this.
    pub(super) fn report(&mut self, topics: TopicSet, installed: &[v1::TopicDigest]) {
        let state = |said: &v1::TopicDigest| {
            let (topic, digest, count) = decode::topic_digest(said).ok()?;
            let is_ours = topics.contains(topic);
            is_ours.then_some((topic, TopicState { digest, count }))
        };
        // As many as there are topics: no client says more.
        let most = topics.iter().count();
        let mut said: Vec<_> = installed.iter().take(most).filter_map(state).collect();
        said.sort_unstable_by_key(|(topic, _)| topics.iter().position(|known| known == *topic));
        let is_expected = self.expected.as_ref().is_some_and(|expected| {
            let expected = topics.iter().zip(expected.iter().copied());
            expected.eq(said.iter().copied())
        });
        self.reported = if is_expected {
            Reported::Expected
        } else {
            Reported::Other(said.into())
        };
    }

    /// The client as tools see it, but for what the session does not know.
    pub(crate) fn describe(&self, topics: TopicSet) -> v1::Client {
        let installed = match (&self.reported, &self.expected) {
            (Reported::Expected, Some(expected)) => digests(topics, expected),
            (Reported::Other(said), _) => {
                let (said_topics, states): (Vec<_>, Vec<_>) = said.iter().copied().unzip();
                digests(said_topics.into_iter().collect(), &states)
            }
            (Reported::Nothing | Reported::Expected, _) => Vec::new(),
        };
        v1::Client {
            topics: topics.iter().map(meshlite_proto::encode::topic).collect(),
            sent_generation: self.sent_generation,
            installed_generation: self.installed_generation,
            installed,
            converged: self.is_converged(),
            rejections: self.rejections.to_vec(),
            ..v1::Client::default()
        }
    }
}
