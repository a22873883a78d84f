//! What goes to the plane and what comes back: one state at a time, and what it did not take.

use std::collections::BTreeMap;

use meshlite_snapshot::{Snapshot, Version};

use super::{Held, InFlight, Key, Next, Origin, wire_key};
use crate::{
    encode,
    session::{
        Change, Delivery, Installed, RejectReason, Rejected, Rejection, sources, staging::What,
    },
};

// === impl Held ===

impl Held {
    /// What the plane has to do next. All of what is pending goes with it.
    pub(in crate::session) fn hand_over(&mut self) -> Next {
        let at = match &self.offered_at {
            Some(at) if self.ready && !self.is_busy() => at.clone(),
            _ => return Next::Wait,
        };
        self.ready = false;
        let oldest_change = self.oldest_change.take();
        let from = Origin {
            sources: sources::newest(self.sources(), self.offered_from.sources.clone()),
            provisional: self.offered_from.provisional,
        };
        let mut snapshot = self.snapshot.clone();
        let mut changes = std::mem::take(&mut self.pending);
        changes.retain(|key, what| self.put(key, what, &mut snapshot));
        if changes.is_empty() && self.installed_at.is_some() {
            self.installed_at = Some(at);
            self.installed_from = from;
            return Next::Done;
        }
        let delivery = Delivery {
            generation: at.generation,
            before: self.snapshot.clone(),
            snapshot,
            changes: changes
                .iter()
                .map(|((topic, name), what)| Change {
                    topic: *topic,
                    name: name.clone(),
                    removed: matches!(what, What::Removed),
                })
                .collect(),
            oldest_change,
            provisional: from.provisional,
        };
        self.in_flight = Some(InFlight {
            at: Some(at),
            changes,
            from,
        });
        Next::Deliver(Box::new(delivery))
    }

    /// Makes a snapshot what was offered under a name. Says whether that changes it.
    fn put(&mut self, key: &Key, what: &What, snapshot: &mut Snapshot) -> bool {
        let (topic, name) = key;
        let installed = self.installed(*topic, name);
        match what {
            What::Bad(version, error) => {
                let rejection = Rejection {
                    topic: encode::topic(*topic),
                    name: name.to_string(),
                    version: *version,
                    reason: error.reason(),
                    message: error.to_string(),
                    serving: installed,
                };
                self.rejections.insert(wire_key(&rejection), rejection);
                return false;
            }
            What::Put(version, ..) if installed == Some(*version) => {
                self.accepted(key);
                return false;
            }
            What::Removed if installed.is_none() => {
                self.accepted(key);
                return false;
            }
            What::Put(_, resource, _) => snapshot.insert(name.clone(), resource.clone()),
            What::Removed => snapshot.remove(topic.kind, name),
        }
        true
    }

    /// The plane has installed what it was given, except what it rejected.
    pub(in crate::session) fn install(&mut self, installed: Installed) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        self.snapshot = installed.snapshot;
        self.installed_at = in_flight.at;
        self.installed_from = in_flight.from;
        let mut rejected: BTreeMap<Key, Rejected> = installed
            .rejected
            .into_iter()
            .map(|rejected| ((rejected.topic, rejected.name.clone()), rejected))
            .collect();
        // A complaint about something that is served all the same lasts as long as the plane repeats it.
        self.rejections
            .retain(|_, old| old.serving != Some(old.version));
        for (key, what) in in_flight.changes {
            if let Some(rejected) = rejected.remove(&key) {
                self.reject(&rejected, what.version());
                // Where something newer was offered meanwhile, trying this again would put it back.
                let is_newest = self.offered(&key) == what.version();
                if rejected.reason == RejectReason::NotProgrammed && is_newest {
                    self.refused.insert(key, what);
                }
                continue;
            }
            if let Some(set) = self.sets.get_mut(&key.0) {
                set.install(
                    &key.1,
                    what.version(),
                    what.body().filter(|_| self.keep_bodies),
                );
            }
            self.accepted(&key);
        }
        for ((topic, name), rejected) in rejected {
            // It may be one that was rejected before and is not served.
            let wire = encode::topic(topic);
            let key = (wire.r#type, wire.scope, name.to_string());
            let before = self.rejections.get(&key).map(|rejection| rejection.version);
            let version = before.or_else(|| self.installed(topic, &name));
            self.reject(&rejected, version);
        }
    }

    /// The plane gave up on what it was given: it gets all of it again with the next commit that is proved.
    pub(in crate::session) fn abandon(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            for (key, what) in in_flight.changes {
                self.pending.entry(key).or_insert(what);
            }
        }
    }

    /// The plane wants to try again what it could not program. It changes nothing about what was proved.
    pub(in crate::session) fn retry(&mut self) {
        for (key, what) in std::mem::take(&mut self.refused) {
            self.pending.entry(key).or_insert(what);
            self.ready = true;
        }
    }

    /// This resource is served as it was last sent.
    fn accepted(&mut self, (topic, name): &Key) {
        let wire = encode::topic(*topic);
        self.rejections
            .remove(&(wire.r#type, wire.scope, name.to_string()));
        if let Some(set) = self.sets.get_mut(topic) {
            set.forget_if_empty(name);
        }
    }

    fn reject(&mut self, rejected: &Rejected, version: Option<Version>) {
        let rejection = Rejection {
            topic: encode::topic(rejected.topic),
            name: rejected.name.to_string(),
            version: version.unwrap_or(Version(0)),
            reason: rejected.reason,
            message: rejected.message.clone(),
            serving: self.installed(rejected.topic, &rejected.name),
        };
        self.rejections.insert(wire_key(&rejection), rejection);
    }
}
