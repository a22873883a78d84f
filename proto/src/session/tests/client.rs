//! A session with its plane and its stream, moved by hand.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use meshlite_snapshot::{Name, Snapshot, Topic};
use tokio::time::Instant;

use crate::{
    cache,
    model::{Model, NAMESPACES, NODES, mk_name},
    session::{Action, Delivery, Installed, Reconnect, RejectReason, Rejected, Session},
    v1::{self, discovery_request::Kind},
};

#[derive(Debug)]
pub(super) struct Client {
    pub(super) session: Session,
    pub(super) now: Instant,
    pub(super) connected: bool,
    /// What the plane has and has not finished.
    pub(super) at_plane: Option<Delivery>,
    /// What the plane serves.
    pub(super) plane: Snapshot,
    pub(super) sent: VecDeque<v1::DiscoveryRequest>,
    pub(super) reconnects: Vec<Reconnect>,
    pub(super) deliveries: usize,
    /// What was ever handed over as gone.
    pub(super) gone: BTreeSet<(Topic, Name)>,
    /// What is on disk.
    pub(super) disk: Option<Vec<u8>>,
    replicas: usize,
}

fn mk_session(replicas: usize) -> Session {
    let topics = [NODES, NAMESPACES];
    let identity = v1::ClientIdentity::default();
    let mut session = Session::new(identity, v1::Role::L4Node, &topics, replicas);
    session.keep_bodies();
    session
}

// === impl Client ===

impl Client {
    pub(super) fn new() -> Self {
        Self::among(1)
    }

    pub(super) fn among(replicas: usize) -> Self {
        Self {
            session: mk_session(replicas),
            now: Instant::now(),
            connected: false,
            at_plane: None,
            plane: Snapshot::default(),
            sent: VecDeque::new(),
            reconnects: Vec::new(),
            deliveries: 0,
            gone: BTreeSet::new(),
            disk: None,
            replicas,
        }
    }

    /// A client that follows this server and has installed what it has.
    pub(super) fn following(server: &mut Model) -> Self {
        let mut client = Self::new();
        client.settle(server);
        client
    }

    pub(super) fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(request) => self.sent.push_back(request),
                Action::Deliver(delivery) => {
                    assert!(self.at_plane.is_none(), "the plane has a commit already");
                    assert_eq!(delivery.before, self.plane);
                    self.deliveries += 1;
                    let gone = delivery.changes.iter().filter(|change| change.removed);
                    self.gone
                        .extend(gone.map(|change| (change.topic, change.name.clone())));
                    self.at_plane = Some(*delivery);
                }
                Action::Reconnect(reason) => {
                    self.reconnects.push(reason);
                    self.connected = false;
                }
            }
        }
    }

    /// What is installed is written to disk, if it is worth it.
    pub(super) fn write(&mut self) {
        if let Some(kept) = self.session.kept() {
            self.disk = Some(cache::pack(&kept).unwrap());
        }
    }

    /// The process ends, and another starts from what is on disk.
    pub(super) fn restart(&mut self) {
        self.disconnect();
        self.session = mk_session(self.replicas);
        self.at_plane = None;
        self.plane = Snapshot::default();
        if let Some(file) = &self.disk {
            let kept = cache::unpack(file).unwrap();
            let actions = self.session.restore(self.now, kept);
            self.perform(actions);
            assert!(self.at_plane.as_ref().unwrap().provisional);
            self.install();
            assert!(self.session.status().provisional);
        }
    }

    pub(super) fn connect(&mut self) {
        self.sent.clear();
        self.connected = true;
        let actions = self.session.connected(self.now, "http://127.0.0.1:18000");
        self.perform(actions);
    }

    pub(super) fn disconnect(&mut self) {
        self.connected = false;
        self.sent.clear();
        self.session.disconnected("lost".into());
    }

    pub(super) fn receive(&mut self, responses: impl IntoIterator<Item = v1::DiscoveryResponse>) {
        for response in responses {
            let actions = self.session.received(self.now, response);
            self.perform(actions);
        }
    }

    pub(super) fn advance(&mut self, time: Duration) {
        self.now += time;
        let actions = self.session.tick(self.now);
        self.perform(actions);
    }

    /// The plane installs what it has, except the resources of these names.
    pub(super) fn install_except(&mut self, rejected: &[(Topic, &str)]) {
        let Some(delivery) = self.at_plane.take() else {
            return;
        };
        let mut snapshot = delivery.snapshot;
        let mut refused = Vec::new();
        for (topic, name) in rejected {
            let name = mk_name(name);
            match delivery.before.get(topic.kind, &name) {
                Some(old) => snapshot.insert(name.clone(), old),
                None => snapshot.remove(topic.kind, &name),
            }
            refused.push(Rejected {
                topic: *topic,
                name,
                reason: RejectReason::NotProgrammed,
                message: "the kernel said no".into(),
            });
        }
        self.plane = snapshot.clone();
        let installed = Installed {
            snapshot,
            rejected: refused,
        };
        let actions = self.session.installed(self.now, installed);
        self.perform(actions);
    }

    pub(super) fn install(&mut self) {
        self.install_except(&[]);
    }

    pub(super) fn retry(&mut self) {
        let actions = self.session.retry(self.now);
        self.perform(actions);
    }

    pub(super) fn abandon(&mut self) {
        if self.at_plane.take().is_some() {
            let actions = self.session.abandoned();
            self.perform(actions);
        }
    }

    /// Lets both sides talk and the plane work until there is nothing more to do.
    pub(super) fn settle(&mut self, server: &mut Model) {
        for _ in 0..50 {
            if !self.connected {
                self.connect();
            }
            while let Some(request) = self.sent.pop_front() {
                server.receive(request);
            }
            let responses = server.respond();
            let quiet = responses.is_empty() && self.at_plane.is_none() && self.sent.is_empty();
            self.receive(responses);
            self.install();
            if quiet {
                return;
            }
        }
        panic!(
            "client and server do not come to rest: {:?}",
            self.reconnects
        );
    }

    pub(super) fn last_hello(&self) -> v1::Hello {
        let hellos = self
            .sent
            .iter()
            .rev()
            .find_map(|request| match &request.kind {
                Some(Kind::Hello(hello)) => Some(hello.clone()),
                _ => None,
            });
        hellos.unwrap()
    }

    pub(super) fn acks(&self) -> Vec<v1::Ack> {
        let acks = self.sent.iter().filter_map(|request| match &request.kind {
            Some(Kind::Ack(ack)) => Some(ack.clone()),
            _ => None,
        });
        acks.collect()
    }

    pub(super) fn heartbeats(&self) -> Vec<v1::Heartbeat> {
        let heartbeats = self.sent.iter().filter_map(|request| match &request.kind {
            Some(Kind::Heartbeat(heartbeat)) => Some(heartbeat.clone()),
            _ => None,
        });
        heartbeats.collect()
    }
}
