//! IPVS and what helps it, programmed in the order in which nothing is ever half there.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::{IpAddr, SocketAddr},
};

use meshlite_ipvs::{Error, Failure, ServiceKey};
use meshlite_snapshot::Protocol;
use tokio::time::Instant;
use tracing::warn;

use super::{
    Options,
    batch::Batch,
    binding::{self, Binding},
    door::Door,
    helpers::Helpers,
    mark::Mark,
    marking::{self, Marking, Numbers},
    programmed::Programmed,
    retiring::{Retiring, connections},
    sharing::Content,
    value,
};
use crate::{
    host::{Conntrack, Serving},
    kernel::KernelError,
    plan::Step,
    table::{Audience, Frontend, Key, VipKind, VirtualAddress},
};

/// Everything that is programmed for IPVS in one network namespace.
#[derive(Debug)]
pub(super) struct Backend<D> {
    pub(super) options: Options,
    pub(super) door: D,
    /// The socket has failed.
    pub(super) is_broken: bool,
    pub(super) helpers: Helpers,
    pub(super) binding: Binding,
    conntrack: Conntrack,
    pub(super) programmed: Programmed,
    numbers: Numbers,
    pub(super) retiring: Retiring,
    /// Virtual servers that become ours if they are wanted.
    pub(super) left: BTreeSet<Key>,
    /// Places of virtual servers that kube-proxy left at addresses of the node's own.
    pub(super) inherited: BTreeSet<Frontend>,
    /// Addresses of virtual servers that are not ours.
    pub(super) of_others: BTreeSet<IpAddr>,
    /// Another backend carries the traffic.
    pub(super) is_takeover: bool,
    /// Places that could not be removed since what there is was read.
    pub(super) stuck: BTreeSet<Key>,
}

// === impl Backend ===

impl<D: Door> Backend<D> {
    /// That of the network namespace of this thread. Nothing is read or changed yet.
    pub(super) fn new(options: Options) -> Result<Self, KernelError> {
        Ok(Self {
            door: D::connect().map_err(|error| value::error(&error))?,
            is_broken: false,
            helpers: Helpers::new()?,
            binding: Binding::new(options.vip_binding)?,
            conntrack: Conntrack::connect().map_err(|error| binding::failed(&error))?,
            programmed: Programmed::default(),
            numbers: Numbers::default(),
            retiring: Retiring::default(),
            left: BTreeSet::new(),
            inherited: BTreeSet::new(),
            of_others: BTreeSet::new(),
            is_takeover: false,
            stuck: BTreeSet::new(),
            options,
        })
    }

    /// Applies steps. Answers for each.
    pub(super) fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), KernelError>> {
        let mut batch = self.take(steps);
        if let Err(error) = self.carry_out(steps, &mut batch) {
            batch.fail_all(&error);
        }
        batch.results
    }

    /// Does for steps that add virtual servers what comes before IPVS is told what it has to do at addresses.
    pub(super) fn prepare(&mut self, steps: &[Step]) -> Batch {
        let mut batch = self.take(steps);
        self.help(steps, &mut batch);
        batch
    }

    /// Goes on with steps that were prepared, once IPVS was told. Answers for each.
    pub(super) fn complete(
        &mut self,
        mut batch: Batch,
        told: Result<Vec<Failure>, Error>,
    ) -> Vec<Result<(), KernelError>> {
        let taken_up = self.take_up(&mut batch, told);
        if let Err(error) = taken_up.and_then(|()| self.settle(&mut batch)) {
            batch.fail_all(&error);
        }
        batch.results
    }

    fn take(&mut self, steps: &[Step]) -> Batch {
        let left = &self.left;
        Batch::take(steps, &mut self.programmed, |key| left.contains(key))
    }

    /// Addresses go first and come last, and what helps comes before virtual servers and goes after them: so no packet
    /// is balanced that would not find its way back.
    fn carry_out(&mut self, steps: &[Step], batch: &mut Batch) -> Result<(), KernelError> {
        self.release(batch)?;
        if std::mem::take(&mut self.is_takeover) {
            // All goes by the other backend's rules until ours replace them: so all has to be there first.
            self.change_places(batch)?;
            self.bind(batch)?;
        }
        self.help(steps, batch);
        self.edit_places(batch)?;
        self.change_places(batch)?;
        self.settle(batch)
    }

    /// All that comes after what is at addresses.
    fn settle(&mut self, batch: &mut Batch) -> Result<(), KernelError> {
        if !batch.is_of_real_servers() {
            self.settle_places(batch)?;
        }
        self.forget_flows(batch);
        Ok(())
    }

    /// Marks and addresses.
    fn settle_places(&mut self, batch: &mut Batch) -> Result<(), KernelError> {
        let mut marking = self.remark(batch);
        if !self.change_marked(batch, &marking)? {
            // Packets go on to where they went until it is read what there is.
            marking = Marking::default();
        }
        for (key, mark) in &marking.marks {
            self.helpers.mark(key, *mark);
        }
        self.commit(batch);
        self.retire(marking.retired)?;
        // What could not be removed stays on record as ours.
        let stuck = batch.stuck();
        for key in batch.gone().filter(|key| !stuck.contains(key)) {
            self.helpers.remove(&key);
        }
        self.commit(batch);
        self.bind(batch)?;
        self.stuck.extend(stuck);
        Ok(())
    }

    fn release(&mut self, batch: &mut Batch) -> Result<(), KernelError> {
        if batch.removed.is_empty() {
            return Ok(());
        }
        let addresses: BTreeSet<IpAddr> = batch
            .gone()
            .map(|key| key.frontend.address.ip())
            .filter(|ip| !self.programmed.has_address(*ip) && !self.of_others.contains(ip))
            .collect();
        for (address, error) in self.binding.release(addresses)? {
            batch.fail_address(address, &error);
        }
        Ok(())
    }

    fn bind(&mut self, batch: &mut Batch) -> Result<(), KernelError> {
        let mut wanted = Vec::new();
        for key in batch.changed() {
            let Some(server) = self.programmed.get(key) else {
                continue;
            };
            // Node ports are at addresses that the node has.
            let kind = server.origin.as_ref().map(|origin| origin.kind);
            if let (VirtualAddress::Ip(ip), false) =
                (key.frontend.address, kind == Some(VipKind::NodePort))
            {
                wanted.push(ip);
            }
        }
        // In the order of places, all of an address are next to each other.
        wanted.dedup();
        for (address, error) in self.binding.bind(wanted)? {
            batch.fail_address(address, &error);
        }
        Ok(())
    }

    /// What helps virtual servers. One that cannot be helped is left as it is.
    fn help(&mut self, steps: &[Step], batch: &mut Batch) {
        self.helpers.set_inside(steps);
        for key in batch.changed() {
            if let Some(server) = self.programmed.get(key) {
                self.helpers.set(key, server, &self.binding);
            }
        }
        let failed = self.commit(batch);
        batch.leave_out(&failed, steps);
    }

    /// Changes rules, and tells for which places they were not.
    pub(super) fn commit(&mut self, batch: &mut Batch) -> BTreeMap<Key, KernelError> {
        let outcome = self.helpers.commit();
        for (key, error) in &outcome.failed {
            batch.fail_place(key, error.clone());
        }
        if let Some(error) = outcome.clients {
            batch.fail_all(&error);
        }
        outcome.failed
    }

    fn remark(&mut self, batch: &Batch) -> Marking {
        let left = batch.removed.iter();
        let left = left.filter_map(|(key, mark)| Some((*key, (*mark)?)));
        let retiring = &self.retiring;
        marking::remark(
            &mut self.programmed,
            &batch.ports,
            &left.collect(),
            &mut self.numbers,
            |mark: Mark| retiring.contains(mark.service_key()),
        )
    }

    /// Lets the connections of virtual servers end that get no new ones.
    fn retire(&mut self, retired: Vec<(Mark, Content)>) -> Result<(), KernelError> {
        for (mark, _) in retired {
            self.retiring.add(mark.service_key(), Instant::now());
        }
        self.tend()
    }

    /// Looks after virtual servers that are on their way out.
    pub(super) fn tend(&mut self) -> Result<(), KernelError> {
        let now = Instant::now();
        for key in self.retiring.keys() {
            let found = self.door.destinations(key).map_err(|e| value::error(&e))?;
            let limit = self.options.drain_timeout;
            let (changes, is_gone) = self.retiring.tend(key, &found, limit, now);
            // What is not there any more needs no end. Anything else is tried again.
            let failures = self.send(&changes)?;
            let is_done = |e: &Error| matches!(e, Error::NotThere(_));
            if is_gone && failures.iter().all(|failure| is_done(&failure.error)) {
                self.retiring.forget(key);
            }
        }
        Ok(())
    }

    /// Deletes what the kernel remembers of flows to real servers that are gone. Where that fails, they end by themselves.
    fn forget_flows(&mut self, batch: &Batch) {
        if batch.flows.is_empty() {
            return;
        }
        let mut serving = Serving::on(BTreeSet::new());
        for (key, endpoints) in batch.serving(&self.programmed) {
            serving.add(key.frontend, endpoints);
        }
        let forgotten = self
            .conntrack
            .flows(&[Protocol::Udp, Protocol::Sctp])
            .and_then(|flows| {
                let stale = serving.stale(flows);
                self.conntrack.delete(&stale)
            });
        if let Err(error) = forgotten {
            warn!(%error, "UDP flows to endpoints that are gone cannot be ended");
        }
    }

    /// Takes away what an interrupted run has left: helping rules and addresses without a virtual server.
    pub(super) fn tidy(&mut self) -> Result<(), KernelError> {
        let is_known = |key: &Key| self.programmed.get(key).is_some() || self.left.contains(key);
        let is_stale = |key: &&Key| !is_known(key) && !self.stuck.contains(*key);
        let stale: Vec<Key> = self.helpers.places().filter(is_stale).copied().collect();
        for key in stale {
            self.helpers.remove(&key);
        }
        // What stays is seen with the next reading, and tried again.
        self.helpers.commit();
        let unused = self.binding.all();
        let unused =
            unused.filter(|ip| !self.programmed.has_address(*ip) && !self.of_others.contains(ip));
        let unused: Vec<IpAddr> = unused.collect();
        self.binding.release(unused)?;
        Ok(())
    }

    /// Connections of real servers, also of those that marked packets get.
    pub(super) fn connections(
        &mut self,
        of: &[(Key, SocketAddr)],
    ) -> Result<Vec<u64>, KernelError> {
        self.tend()?;
        let mut known: BTreeMap<ServiceKey, BTreeMap<SocketAddr, u64>> = BTreeMap::new();
        let mut all = Vec::with_capacity(of.len());
        for (key, address) in of {
            let mut sum = 0;
            for service in self.services_of(key) {
                let counts = match known.entry(service) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => {
                        let found = self.door.destinations(service);
                        let found = found.map_err(|error| value::error(&error))?;
                        unknown.insert(counted(&found))
                    }
                };
                sum += counts.get(address).copied().unwrap_or(0);
            }
            all.push(sum);
        }
        Ok(all)
    }

    /// The virtual servers that a place's clients are at.
    fn services_of(&self, key: &Key) -> Vec<ServiceKey> {
        let Some(server) = self.programmed.get(key) else {
            return Vec::new();
        };
        let marked = server.mark.map(Mark::service_key);
        // Without a mark, clients inside are where everyone is.
        let is_plain = key.audience == Audience::Everyone || marked.is_none();
        let plain = is_plain.then(|| value::service_key(&key.frontend));
        plain.into_iter().chain(marked).collect()
    }
}

fn counted(found: &[meshlite_ipvs::DestinationEntry]) -> BTreeMap<SocketAddr, u64> {
    let count = |entry: &meshlite_ipvs::DestinationEntry| {
        let is = entry.destination.key;
        (SocketAddr::new(is.address, is.port), connections(entry))
    };
    found.iter().map(count).collect()
}
