//! Any sequence of changes, losses and reconnects ends in the same state as one full snapshot.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use meshlite_snapshot::{Name, Namespace, Resource, Topic};
use proptest::{collection::vec, prelude::*, sample::select};

use super::client::Client;
use crate::{
    model::{Model, NAMESPACES, NODES, mk_name, mk_node},
    v1::{self, discovery_response::Kind},
};

const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Put(usize, u8),
    PutNamespace(usize),
    PutGarbage(usize),
    Remove(Topic, usize),
    /// The server sends what it has, and this many of the messages on the way arrive.
    Deliver(usize),
    /// A message on the way disappears.
    Lose(usize),
    /// A byte on the way changes.
    Damage(usize),
    Install,
    Reject(usize),
    Abandon,
    Retry,
    Break,
    Restart,
    Wait(u64),
    /// The client writes to its disk.
    Write,
    /// The client's process starts again.
    RestartClient,
    /// Another replica stands still from now on, as it is.
    Freeze,
    /// The client connects to the replica that stands still, or to the other one.
    Switch,
    Compress(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    prop_oneof![
        4 => (name(), 0..3_u8).prop_map(|(name, zone)| Step::Put(name, zone)),
        1 => name().prop_map(Step::PutNamespace),
        1 => name().prop_map(Step::PutGarbage),
        2 => (select(vec![NODES, NAMESPACES]), name()).prop_map(|(topic, name)| Step::Remove(topic, name)),
        8 => (0..30_usize).prop_map(Step::Deliver),
        1 => any::<usize>().prop_map(Step::Lose),
        1 => any::<usize>().prop_map(Step::Damage),
        6 => Just(Step::Install),
        1 => name().prop_map(Step::Reject),
        1 => Just(Step::Abandon),
        1 => Just(Step::Retry),
        1 => Just(Step::Break),
        1 => Just(Step::Restart),
        1 => (0..40_u64).prop_map(Step::Wait),
        2 => Just(Step::Write),
        1 => Just(Step::RestartClient),
        1 => Just(Step::Freeze),
        1 => Just(Step::Switch),
        1 => any::<bool>().prop_map(Step::Compress),
    ]
}

struct World {
    server: Model,
    frozen: Option<Model>,
    /// The client talks to the one that stands still.
    at_frozen: bool,
    /// What was ever taken away.
    taken_away: BTreeSet<(Topic, Name)>,
    client: Client,
    on_the_way: VecDeque<v1::DiscoveryResponse>,
    epochs: u32,
    /// A message of this stream disappeared: it may wait for ever.
    lossy: bool,
}

// === impl World ===

impl World {
    fn new() -> Self {
        let mut client = Client::new();
        client.connect();
        Self {
            server: Model::new("epoch-0"),
            frozen: None,
            at_frozen: false,
            taken_away: BTreeSet::new(),
            client,
            on_the_way: VecDeque::new(),
            epochs: 0,
            lossy: false,
        }
    }

    /// The replica that the client talks to.
    fn replica(&mut self) -> &mut Model {
        match &mut self.frozen {
            Some(frozen) if self.at_frozen => frozen,
            _ => &mut self.server,
        }
    }

    fn new_epoch(&mut self) -> String {
        self.epochs += 1;
        format!("epoch-{}", self.epochs)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Put(name, zone) => {
                let name = NAMES[name];
                let node = mk_node(name, &format!("zone-{zone}"));
                self.server.put(NODES, name, &node);
            }
            Step::PutNamespace(name) => {
                let name = NAMES[name];
                let namespace = Resource::Namespace(Namespace { name: name.into() }.into());
                self.server.put(NAMESPACES, name, &namespace);
            }
            Step::PutGarbage(name) => {
                let garbage = Some(Bytes::from_static(b"\xff"));
                self.server.set(NODES, NAMES[name], garbage);
            }
            Step::Remove(topic, name) => {
                self.server.set(topic, NAMES[name], None);
                self.taken_away.insert((topic, mk_name(NAMES[name])));
            }
            Step::Deliver(messages) => self.deliver(messages),
            Step::Lose(at) => {
                if !self.on_the_way.is_empty() {
                    drop(self.on_the_way.remove(at % self.on_the_way.len()));
                    self.lossy = true;
                }
            }
            Step::Damage(at) => self.damage(at),
            Step::Install => self.client.install(),
            Step::Reject(name) => {
                let changes = self.client.at_plane.as_ref().map(|plane| &plane.changes);
                let name = NAMES[name];
                if changes.is_some_and(|all| {
                    all.iter()
                        .any(|c| c.name.as_str() == name && c.topic == NODES)
                }) {
                    self.client.install_except(&[(NODES, name)]);
                }
            }
            Step::Abandon => self.client.abandon(),
            Step::Retry => self.client.retry(),
            Step::Break => self.client.disconnect(),
            Step::Restart => {
                let epoch = self.new_epoch();
                self.server.restart(&epoch);
                if !self.at_frozen {
                    self.client.disconnect();
                }
            }
            Step::Write => self.client.write(),
            Step::RestartClient => self.client.restart(),
            Step::Freeze => {
                let mut frozen = self.server.clone();
                frozen.restart(&self.new_epoch());
                self.frozen = Some(frozen);
                if self.at_frozen {
                    self.client.disconnect();
                }
            }
            Step::Switch => {
                self.at_frozen = self.frozen.is_some() && !self.at_frozen;
                self.client.disconnect();
            }
            Step::Compress(zstd) => self.server.zstd = zstd,
            Step::Wait(seconds) => self.client.advance(Duration::from_secs(seconds)),
        }
        if !self.client.connected {
            self.on_the_way.clear();
            self.lossy = false;
            self.client.connect();
        }
    }

    fn deliver(&mut self, messages: usize) {
        while let Some(request) = self.client.sent.pop_front() {
            self.replica().receive(request);
        }
        let responses = self.replica().respond();
        self.on_the_way.extend(responses);
        for _ in 0..messages {
            if let (true, Some(message)) = (self.client.connected, self.on_the_way.pop_front()) {
                self.client.receive([message]);
            }
        }
    }

    fn damage(&mut self, at: usize) {
        let chunks = self
            .on_the_way
            .iter_mut()
            .filter_map(|message| match &mut message.kind {
                Some(Kind::Chunk(chunk)) => Some(chunk),
                _ => None,
            });
        if let Some(chunk) = chunks.last() {
            let mut data = chunk.data.to_vec();
            let length = data.len();
            data[at % length] ^= 0x55;
            chunk.data = data.into();
        }
    }

    /// Everything that is on the way arrives, and the plane takes all that it can.
    fn settle(&mut self) {
        if self.lossy || self.at_frozen {
            self.at_frozen = false;
            self.on_the_way.clear();
            self.client.disconnect();
        }
        self.client.receive(self.on_the_way.drain(..));
        self.client.settle(&mut self.server);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn every_history_ends_like_one_full_snapshot(steps in vec(step(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        // Garbage can never be served, so that it is out of the comparison.
        for name in NAMES {
            world.server.put(NODES, name, &mk_node(name, "last"));
        }
        world.settle();
        prop_assert_eq!(&world.client.plane, &world.server.snapshot());
        prop_assert!(
            world.client.gone.is_subset(&world.taken_away),
            "{:?} is gone, and only {:?} was taken away", world.client.gone, world.taken_away
        );

        let status = world.client.session.status();
        prop_assert_eq!(status.rejections, vec![]);
        prop_assert_eq!(status.generation, world.server.generation);
        let digests: Vec<_> = status.digests.iter().map(|d| d.digest.to_string()).collect();
        let expected: Vec<_> = world.server.digests().iter().map(|d| d.digest.clone()).collect();
        prop_assert_eq!(digests, expected);

        let mut fresh = Client::following(&mut world.server);
        prop_assert_eq!(&fresh.plane, &world.client.plane);
        fresh.disconnect();
    }

    #[test]
    fn what_is_rejected_is_all_that_differs(steps in vec(step(), 0..80)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            let status = world.client.session.status();
            for digest in &status.digests {
                prop_assert_eq!(
                    digest.count,
                    world.client.plane.of_type(digest.topic.kind).count() as u64,
                    "digests are of what is installed"
                );
            }
        }
        world.settle();
        let rejected: Vec<Name> = world
            .client
            .session
            .status()
            .rejections
            .iter()
            .map(|rejection| Name::new(&rejection.name).unwrap())
            .collect();
        let mut ours = world.client.plane.clone();
        let mut theirs = world.server.snapshot();
        for name in &rejected {
            ours.remove(NODES.kind, name);
            theirs.remove(NODES.kind, name);
        }
        prop_assert_eq!(ours, theirs);
    }
}
