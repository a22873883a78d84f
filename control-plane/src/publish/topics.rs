//! Every set that can be subscribed to, and choices of them as one number.

use std::fmt;

use meshlite_snapshot::{ResourceType, Scope, Topic};

/// Every set that can be subscribed to, in the order in which a commit sends them.
pub(crate) const TOPICS: [Topic; 11] = [
    Topic::all(ResourceType::Namespace),
    Topic::all(ResourceType::Node),
    Topic::all(ResourceType::Service),
    Topic::all(ResourceType::EndpointGroup),
    INGRESS_ENDPOINTS,
    Topic::all(ResourceType::Weights),
    Topic::all(ResourceType::TlsSecret),
    Topic::all(ResourceType::Credential),
    Topic::all(ResourceType::Cluster),
    Topic::all(ResourceType::RouteTable),
    Topic::all(ResourceType::Listener),
];

/// The groups that a route refers to.
pub(super) const INGRESS_ENDPOINTS: Topic = Topic {
    kind: ResourceType::EndpointGroup,
    scope: Scope::Ingress,
};

/// Some of [`TOPICS`], in their order: what one client subscribes to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct TopicSet(u16);

/// The place of a topic among [`TOPICS`].
pub(super) fn place(topic: Topic) -> Option<usize> {
    TOPICS.iter().position(|known| *known == topic)
}

// === impl TopicSet ===

impl TopicSet {
    pub(crate) fn contains(self, topic: Topic) -> bool {
        place(topic).is_some_and(|place| self.0 & (1 << place) != 0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = Topic> {
        TOPICS
            .into_iter()
            .filter(move |topic| self.contains(*topic))
    }

    pub(super) fn insert(&mut self, topic: Topic) {
        if let Some(place) = place(topic) {
            self.0 |= 1 << place;
        }
    }
}

impl FromIterator<Topic> for TopicSet {
    fn from_iter<I: IntoIterator<Item = Topic>>(topics: I) -> Self {
        let mut set = Self::default();
        for topic in topics {
            set.insert(topic);
        }
        set
    }
}

impl fmt::Debug for TopicSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
