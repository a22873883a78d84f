//! The nft rules that help IPVS: one transaction for what has changed, none where nothing has.

use std::{collections::BTreeMap, sync::Arc};

use super::{binding::Binding, mark::Mark, programmed::Server};
use crate::{
    kernel::{
        KernelError,
        rules::{Changes, Clients, Helper, Outcome, Rules, family_of},
    },
    plan::Step,
    table::{Key, VipKind, WhenEmpty},
};

/// Rules, and what is to become of them.
#[derive(Debug)]
pub(super) struct Helpers {
    rules: Rules<Helper>,
    changes: Changes<Helper>,
    clients: Option<Clients>,
}

/// A virtual server as the rules have it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// What they do for it.
    pub(super) helper: Helper,
    /// The mark of packets to it.
    pub(super) mark: Option<Mark>,
}

// === impl Helpers ===

impl Helpers {
    /// Those of the network namespace of this thread. Nothing is read or changed yet.
    pub(super) fn new() -> Result<Self, KernelError> {
        Ok(Self {
            rules: Rules::connect()?,
            changes: Changes::new(),
            clients: None,
        })
    }

    /// Whether the kernel takes them. It loads its modules for them now, not in the middle of a large transaction, which
    /// it would begin anew after each.
    pub(super) fn try_it() -> Result<(), KernelError> {
        Rules::<Helper>::try_it(&[])
    }

    /// Reads them.
    pub(super) fn read(&mut self) -> Result<(), KernelError> {
        self.changes.clear();
        self.clients = None;
        self.rules.read()
    }

    /// Whether there are rules, of another backend: it balances what comes until ours replace them.
    pub(super) fn are_of_another_backend(&mut self) -> Result<bool, KernelError> {
        Ok(self.places().next().is_none() && self.rules.has_table()?)
    }

    /// The places that they know, as last read and changed since.
    pub(super) fn places(&self) -> impl Iterator<Item = &Key> {
        self.rules.entries().keys()
    }

    /// What they do for each place.
    pub(super) fn recorded(&self) -> BTreeMap<Key, Recorded> {
        let recorded = |(key, helper): (&Key, &Helper)| {
            let mark = helper.mark.and_then(|mark| Mark::of(mark, family_of(key)));
            let helper = helper.clone();
            (*key, Recorded { helper, mark })
        };
        self.rules.entries().iter().map(recorded).collect()
    }

    /// Clients, as last read and changed since.
    pub(super) fn clients(&self) -> &Clients {
        self.rules.clients()
    }

    /// Takes up who is inside.
    pub(super) fn set_inside(&mut self, steps: &[Step]) {
        for step in steps {
            if let Step::SetInside { networks, pods } = step {
                self.clients = Some(Clients {
                    inside: Arc::clone(networks),
                    pods: pods.clone(),
                });
            }
        }
    }

    /// Makes them help a virtual server as it is now. Its packets keep the mark that they have.
    pub(super) fn set(&mut self, key: &Key, server: &Server, binding: &Binding) {
        let known = self.rules.entries().get(key);
        let helper = Helper {
            mark: known.and_then(|helper| helper.mark),
            ..helper(key, server, binding)
        };
        if known != Some(&helper) {
            self.changes.insert(*key, Some(helper));
        }
    }

    /// The places whose packets have this mark.
    pub(super) fn marked(&self, mark: Mark) -> Vec<Key> {
        let entries = self.rules.entries().iter();
        entries
            .filter(|(key, helper)| {
                helper.mark == Some(mark.number()) && mark.is_of(key.frontend.address.ip())
            })
            .map(|(key, _)| *key)
            .collect()
    }

    /// Drops new connections to a place until it is [set](Self::set) again.
    pub(super) fn hold(&mut self, key: &Key) {
        if let Some(helper) = self.rules.entries().get(key) {
            let held = Helper {
                is_served: false,
                when_empty: WhenEmpty::Drop,
                ..helper.clone()
            };
            self.changes.insert(*key, Some(held));
        }
    }

    /// Gives packets to a place a mark, or none.
    pub(super) fn mark(&mut self, key: &Key, mark: Option<Mark>) {
        let known = self.rules.entries().get(key);
        let mark = mark.map(Mark::number);
        if let Some(helper) = known.filter(|helper| helper.mark != mark) {
            let helper = Helper {
                mark,
                ..helper.clone()
            };
            self.changes.insert(*key, Some(helper));
        }
    }

    /// Takes away what helps a virtual server.
    pub(super) fn remove(&mut self, key: &Key) {
        if self.rules.entries().contains_key(key) {
            self.changes.insert(*key, None);
        }
    }

    /// Makes the changes, and tells which places kept what they had. As long as who is inside could not be made known, it
    /// is part of what comes next, so that no place is helped without it.
    pub(super) fn commit(&mut self) -> Outcome {
        let clients = self.clients.take();
        let changes = std::mem::take(&mut self.changes);
        if clients.is_none() && changes.is_empty() {
            return Outcome::default();
        }
        let outcome = self.rules.apply(clients.clone(), changes);
        if outcome.clients.is_some() {
            self.clients = clients;
        }
        outcome
    }
}

/// What rules do for a virtual server, but for its mark.
pub(super) fn helper(key: &Key, server: &Server, binding: &Binding) -> Helper {
    let address = key.frontend.address.ip();
    let kind = server.origin.as_ref().map(|origin| origin.kind);
    let local = server.real_servers.iter().filter(|(_, real)| real.is_local);
    Helper {
        origin: server.origin.clone(),
        masquerade: server.settings.masquerade,
        source_ranges: Arc::clone(&server.settings.source_ranges),
        when_empty: server.settings.when_empty,
        is_served: server.is_usable(),
        is_closed: kind != Some(VipKind::NodePort) && !binding.is_elsewhere(address),
        local: local.map(|(address, _)| *address).collect(),
        mark: None,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Child, Command, Stdio},
        time::Duration,
    };

    use tokio::time::Instant;

    use super::*;
    use crate::{
        config::VipBinding,
        host::testing::{in_namespace, run},
        table::LocalDetector,
        testing::{key, server},
    };

    /// The table in the hands of another program, so that nobody else can change it.
    fn owned_by_another() -> Child {
        let mut nft = Command::new("nft");
        let mut owner = nft.arg("-i").stdin(Stdio::piped()).spawn().unwrap();
        let input = owner.stdin.as_mut().unwrap();
        writeln!(input, "add table inet meshlite {{ flags owner; }}").unwrap();
        let (asked, limit) = (Instant::now(), Duration::from_secs(20));
        loop {
            let tables = run("nft", &["list", "tables"]);
            if tables.contains("meshlite") {
                return owner;
            }
            let ended = owner.try_wait().unwrap();
            assert!(asked.elapsed() < limit, "nft ended: {ended:?}; {tables}");
        }
    }

    fn helped(helpers: &mut Helpers, place: &Key) -> Outcome {
        let binding = Binding::new(VipBinding::Route).unwrap();
        let web = server(&[("10.244.0.1:80", 1)]);
        let web = Server::new(web.origin, web.settings, web.real_servers);
        helpers.set(place, &web, &binding);
        helpers.commit()
    }

    #[test]
    fn no_place_is_helped_before_it_is_known_who_is_inside() {
        in_namespace(|| {
            let inside = Arc::new(["10.244.0.0/16".parse().unwrap()].into());
            let mut helpers = Helpers::new().unwrap();
            helpers.read().unwrap();
            let mut owner = owned_by_another();
            helpers.set_inside(&[Step::SetInside {
                networks: Arc::clone(&inside),
                pods: LocalDetector::None,
            }]);
            let (one, other) = (key("TCP 10.96.0.1:80"), key("TCP 10.96.0.2:80"));
            assert!(helped(&mut helpers, &one).failed.contains_key(&one));
            assert!(helped(&mut helpers, &other).failed.contains_key(&other));
            drop(owner.stdin.take());
            owner.wait().unwrap();
            assert!(helped(&mut helpers, &other).failed.is_empty());
            assert_eq!(helpers.clients().inside, inside);
            assert_eq!(helpers.places().collect::<Vec<_>>(), [&other]);
        });
    }
}
