//! What the connected data planes have proved that they serve.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use meshlite_kubernetes::Programmed;
use meshlite_proto::{decode, v1};
use meshlite_snapshot::{ObjectRef, ResourceType, Topic};
use tokio::time::Instant;

use super::index::Index;
use crate::publish::View;

/// How long a data plane that is not listed any more still counts as it was: most are back within seconds, at this or
/// another replica.
const LINGER: Duration = Duration::from_mins(1);
/// How long a new data plane may take to prove anything before it counts as one that serves nothing.
const NEWCOMER: Duration = Duration::from_secs(30);
/// Generations whose digests are remembered.
const MEMORY: u64 = 10_000;
/// What another replica said may be so old.
const SETTLED: Duration = Duration::from_secs(5);

/// What proves that an ingress serves an Ingress, and a node a Service.
const INGRESS: [Topic; 2] = [
    Topic::all(ResourceType::RouteTable),
    Topic::all(ResourceType::TlsSecret),
];
const NODE: [Topic; 1] = [Topic::all(ResourceType::Service)];

/// The data planes, by what they are and where.
#[derive(Debug, Default)]
pub(super) struct Members {
    members: BTreeMap<String, Member>,
    history: History,
}

/// One data plane.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) role: v1::Role,
    pub(super) node: String,
    /// The last generation of which each topic is proved to be served.
    proved: BTreeMap<Topic, u64>,
    pub(super) rejections: Vec<v1::Rejection>,
    since: Instant,
    seen: Instant,
}

/// How far the data planes of a role are, all together: asked once for each object.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) of: usize,
    /// Up to where each is proved to be, ascending.
    floors: Vec<u64>,
    /// The same of those that reject something of an object.
    rejected: BTreeMap<ObjectRef, Vec<u64>>,
}

impl Census {
    /// How many serve an object as it is since this generation.
    pub(super) fn programmed(&self, object: &ObjectRef, changed: Option<u64>) -> Programmed {
        let done = changed.map_or(0, |changed| {
            let there = self.floors.len() - self.floors.partition_point(|f| *f < changed);
            let rejected = self.rejected.get(object).into_iter().flatten();
            there.saturating_sub(rejected.filter(|floor| **floor >= changed).count())
        });
        Programmed { done, of: self.of }
    }
}

/// Which sets were published, and until when.
#[derive(Debug, Default)]
struct History {
    at: Option<(String, u64)>,
    /// The last generation at which a topic had this digest.
    until: BTreeMap<(Topic, String), u64>,
    /// When this process saw a generation, oldest first.
    seen: Vec<(Instant, u64)>,
}

impl Members {
    /// Takes in who is connected now.
    pub(super) fn update(&mut self, view: &View, clients: &[v1::Client], now: Instant) {
        if self.history.update(view, now) {
            for member in self.members.values_mut() {
                member.proved.clear();
            }
        }
        for client in clients {
            let identity = client.identity.clone().unwrap_or_default();
            let member = self.members.entry(identity.id).or_insert_with(|| Member {
                role: client.role(),
                node: identity.node_name,
                proved: BTreeMap::new(),
                rejections: Vec::new(),
                since: now,
                seen: now,
            });
            member.seen = now;
            member.rejections.clone_from(&client.rejections);
            for (topic, generation) in self.history.proofs(client, member.topics()) {
                member.proved.insert(topic, generation);
            }
        }
        // Whoever is there now has taken the place of whoever was there before.
        let present: BTreeSet<_> = self
            .members
            .values()
            .filter(|member| member.seen == now)
            .map(|member| (member.role, member.node.clone()))
            .collect();
        self.members.retain(|_, member| {
            let place = (member.role, member.node.clone());
            member.seen == now || (now < member.seen + LINGER && !present.contains(&place))
        });
    }

    /// Those of a role that count by now.
    pub(super) fn of(&self, role: v1::Role, now: Instant) -> impl Iterator<Item = &Member> {
        self.members
            .values()
            .filter(move |m| m.role == role && (m.floor().is_some() || now >= m.since + NEWCOMER))
    }

    /// What those of a role prove by now.
    pub(super) fn census(&self, role: v1::Role, index: &Index, now: Instant) -> Census {
        let mut census = Census::default();
        for member in self.of(role, now) {
            census.of += 1;
            let Some(floor) = member.floor() else {
                continue;
            };
            census.floors.push(floor);
            let concerned: BTreeSet<_> = member
                .rejections
                .iter()
                .filter_map(|rejection| {
                    let topic = decode::topic(rejection.topic.as_ref()?).ok()?;
                    Some(index.concerned(topic.kind, &rejection.name))
                })
                .flatten()
                .collect();
            for object in concerned {
                census.rejected.entry(object).or_default().push(floor);
            }
        }
        census.floors.sort_unstable();
        census
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }
}

impl Member {
    fn topics(&self) -> &'static [Topic] {
        match self.role {
            v1::Role::Ingress => &INGRESS,
            v1::Role::L4Node | v1::Role::Unspecified => &NODE,
        }
    }

    /// The generation up to which it is proved to serve everything, except for what it rejects.
    pub(super) fn floor(&self) -> Option<u64> {
        let topics = self.topics().iter();
        let proved: Option<Vec<_>> = topics.map(|topic| self.proved.get(topic)).collect();
        proved?.into_iter().min().copied()
    }
}

impl History {
    /// Whether it began anew: generations are counted by somebody else now.
    fn update(&mut self, view: &View, now: Instant) -> bool {
        let known = self.at.take().filter(|(epoch, _)| epoch == view.epoch());
        let is_new = known.is_none();
        if is_new {
            *self = Self::default();
        }
        let current = view.generation();
        let oldest = current.saturating_sub(MEMORY);
        let from = known.map_or(oldest, |(_, generation)| generation.max(oldest));
        for topic in INGRESS.into_iter().chain(NODE) {
            for generation in from..=current {
                if let Some(state) = view.state_at(topic, generation) {
                    self.until
                        .insert((topic, state.digest.to_string()), generation);
                }
            }
        }
        self.until.retain(|_, until| *until >= oldest);
        self.seen.push((now, current));
        let settled = self.seen.iter().rposition(|(at, _)| now >= *at + SETTLED);
        self.seen.drain(..settled.unwrap_or(0));
        self.at = Some((view.epoch().to_owned(), current));
        is_new
    }

    /// How far each of these topics is proved to be served by this client. What it holds decides; where it holds something
    /// else because it rejects something, then that it is not behind.
    fn proofs(&self, client: &v1::Client, topics: &[Topic]) -> Vec<(Topic, u64)> {
        let installed: BTreeMap<_, _> = client
            .installed
            .iter()
            .filter_map(|said| {
                let topic = decode::topic(said.topic.as_ref()?).ok()?;
                Some((topic, said.digest.as_str()))
            })
            .collect();
        let is_up_to_date = client.behind_since.is_none() && !client.rejections.is_empty();
        let settled = self.seen.first().map(|(_, generation)| *generation);
        let proof = |topic: &Topic| {
            let digest = installed.get(topic)?;
            let proved = self.until.get(&(*topic, (*digest).to_owned())).copied();
            let proved = proved.or_else(|| settled.filter(|_| is_up_to_date))?;
            Some((*topic, proved))
        };
        topics.iter().filter_map(proof).collect()
    }
}
