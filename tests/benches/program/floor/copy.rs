//! The nft table of a node, and bare transactions that make the same where there is none, and change it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use meshlite_nft::{
    Data, Element, Family, Field, Nftables, SetFlags, SetKey, TableKey, Transaction, UserData,
    Value,
};
use meshlite_tests::{
    figures::median,
    world::{Host, Namespace},
};

use tokio::runtime::Handle;

use super::{follower::Follower, watched::Watched};
use crate::{
    objects::{PORT, Size, TARGET, vip},
    scene::Scene,
    subject::REST,
    watch::pause,
};

/// The map of endpoints by place and slot, where nftables balances.
const SLOTS: &str = "slots-ip";
const TCP: u8 = 6;
/// What the table has for the place of a Service with endpoints, which is masqueraded for all but Pods.
const SERVED: u32 = 41;
/// Changes of which the median counts.
const CHANGES: u32 = 9;

/// What a node that is programmed has.
pub(crate) struct Copy {
    table: TableKey,
    /// Makes the table with its sets, chains, rules and elements, in the order in which a node does.
    load: Transaction,
    /// An endpoint of the first Service, if the table has endpoints.
    endpoint: Option<(SetKey, Element)>,
}

// === impl Copy ===

impl Copy {
    /// Reads it.
    pub(crate) fn of(node: &Host) -> anyhow::Result<Self> {
        let mut nftables = node.namespace().run(Nftables::connect)?;
        let key = TableKey {
            family: Family::Inet,
            name: "meshlite".parse()?,
        };
        let tables = nftables.tables()?.into_iter();
        let mut tables = tables.map(|entry| entry.table);
        let table = tables.find(|table| table.key == key);
        let table = table.context("the node has no table")?;
        let mut load = Transaction::new();
        load.add_table(&table);
        load.delete_table(&key);
        load.add_table(&table);
        let sets = nftables.sets(&key)?;
        for entry in &sets {
            load.add_set(&entry.set);
        }
        let chains = nftables.chains()?;
        for entry in chains.iter().filter(|it| it.chain.key.table == key) {
            load.add_chain(&entry.chain);
        }
        for entry in nftables.rules(&key)? {
            load.add_rule(&entry.rule);
        }
        let mut endpoint = None;
        for set in sets.into_iter().map(|entry| entry.set) {
            // What rules have learned is not the node's.
            if set.flags.contains(SetFlags::DYNAMIC) {
                continue;
            }
            let elements = nftables.elements(&set.key)?;
            let elements = elements.into_iter().map(|entry| entry.element);
            let elements: Vec<_> = elements.collect();
            if set.key.name.as_str() == SLOTS {
                let first = elements.iter().find(|element| is_of_first(element));
                endpoint = first.map(|first| (set.key.clone(), first.clone()));
            }
            load.add_elements(&set.key, elements);
        }
        Ok(Self {
            table: key,
            load,
            endpoint,
        })
    }

    /// What makes the table of a node with IPVS that has so many Services, where this is the one of a node that has one:
    /// with each comes an element for its place, and one for its address.
    pub(crate) fn with_services(&self, size: Size) -> anyhow::Result<Transaction> {
        let set = |name: &str| anyhow::Ok(self.table.set(name.parse()?));
        let frontend = |number: u32| {
            let origin = format!("\0default\0service-{number:05}\0http");
            Element {
                user_data: UserData::new(origin.into_bytes()),
                ..Element::mapping(place(number), Data::Value(Field::Mark(SERVED).into()))
            }
        };
        let address = |number| Element::new(Field::from(vip(number)).into());
        let mut all = self.load.clone();
        all.add_elements(&set("frontends-ip")?, (1..size.services).map(frontend));
        all.add_elements(&set("vips-ip")?, (1..size.services).map(address));
        Ok(all)
    }

    /// How long a bare transaction takes that makes all of it: the median of so many.
    pub(crate) fn load(&self, rounds: u16) -> anyhow::Result<Duration> {
        let loads = (0..rounds).map(|_| Ok(self.make()?.0));
        Ok(median(loads.collect::<anyhow::Result<_>>()?))
    }

    /// How long a bare transaction takes with another endpoint in place of one. It is sent when a node would begin to
    /// work: once a change came from the control plane. So the caches of the processor are as a node finds them; and the
    /// ruleset is watched, as a node's is, which takes some of the time of both.
    pub(crate) fn change(&self, runtime: &Handle, scene: &Scene) -> anyhow::Result<Duration> {
        let (set, first) = self.endpoint.as_ref().context("there are no endpoints")?;
        let (_, mut nftables, namespace) = self.make()?;
        let mut watch = namespace.run(Nftables::connect)?;
        let _watched = Watched::start(move || drop(watch.generation()));
        let mut follower = runtime.block_on(Follower::connect(scene.control_plane))?;
        let (mut was, mut changes) = (first.clone(), Vec::new());
        for change in 0..CHANGES {
            let to = Value::concat(&[vip(change).into(), Field::Port(TARGET)]);
            let is = Element {
                data: Some(Data::Value(to)),
                ..first.clone()
            };
            let mut transaction = Transaction::new();
            transaction.delete_elements(set, [was]);
            transaction.add_elements(set, [is.clone()]);
            was = is;
            pause(REST);
            scene.remote.change()?;
            let took = runtime.block_on(follower.next(|| {
                let started = Instant::now();
                nftables.commit(&transaction)?;
                Ok(started.elapsed())
            }))?;
            changes.push(took);
        }
        Ok(median(changes))
    }

    /// How long `nft -f` takes with another endpoint in place of one, where this table is.
    pub(crate) fn change_by_script(&self) -> anyhow::Result<Duration> {
        let (_, first) = self.endpoint.as_ref().context("there are no endpoints")?;
        let slot = slot(first).context("the endpoint has no slot")?;
        let (_, _, namespace) = self.make()?;
        let (place, map) = (format!("{} . tcp . {PORT} . {slot}", vip(0)), SLOTS);
        let mut changes = Vec::new();
        for change in 0..CHANGES {
            let script = format!(
                "delete element inet meshlite {map} {{ {place} }}\n\
                 add element inet meshlite {map} {{ {place} : {} . {TARGET} }}\n",
                vip(change)
            );
            pause(REST);
            changes.push(namespace.run(|| super::script(&script))?);
        }
        Ok(median(changes))
    }

    /// Makes it in a namespace of its own, and says how long that took.
    fn make(&self) -> anyhow::Result<(Duration, Nftables, Namespace)> {
        let namespace = Namespace::new()?;
        let mut nftables = namespace.run(Nftables::connect)?;
        let started = Instant::now();
        nftables.commit(&self.load)?;
        Ok((started.elapsed(), nftables, namespace))
    }
}

fn is_of_first(element: &Element) -> bool {
    let key = element.key.as_ref();
    key.is_some_and(|key| key.as_bytes().starts_with(place(0).as_bytes()))
}

/// The slot of an endpoint: its key ends with that, in the machine's byte order.
fn slot(element: &Element) -> Option<u32> {
    let key = element.key.as_ref()?.as_bytes();
    key.last_chunk().copied().map(u32::from_ne_bytes)
}

/// Where a Service is reached.
fn place(number: u32) -> Value {
    Value::concat(&[vip(number).into(), Field::Protocol(TCP), Field::Port(PORT)])
}
