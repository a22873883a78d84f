//! What the table has of one virtual server that nftables balances.

mod read;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use meshlite_nft::{Data, Element, Field, UserData};

use super::{
    maps::{self, CHOICES, GROUPS, MEMBERS, SERVERS, SLOTS},
    slots::{arrange, shares},
    way::{Kind, Way},
};
use crate::{
    kernel::rules::{
        Branch, ChainOfRules, Content, Detector, Entry, Helper, Placed, family_of,
        name::{Place, Shape},
        networks::of_family,
        value::{endpoint, vip, vip_and},
    },
    table::{
        Key, Masquerade, ObservedServer, Origin, Owner, RealServers, Scheduler, Settings,
        VirtualAddress, WhenEmpty,
    },
};

/// A virtual server as nftables has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Balanced {
    pub(crate) origin: Option<Origin>,
    pub(crate) settings: Settings,
    pub(crate) real_servers: RealServers,
    /// As [`Helper::is_closed`].
    pub(crate) is_closed: bool,
    /// Real servers by slot. Which has which is history, but for their shares.
    slots: Vec<SocketAddr>,
}

/// Slots that are never chosen: where real servers with weight 0 are kept.
const DRAINED: u32 = 1 << 31;

impl Balanced {
    /// What is to be of it, where it was this before.
    pub(super) fn wanted(server: &ObservedServer, is_closed: bool, before: Option<&Self>) -> Self {
        let wanted = Self {
            origin: server.origin.clone(),
            settings: server.settings.clone(),
            real_servers: server.real_servers.clone(),
            is_closed,
            slots: Vec::new(),
        };
        wanted.arranged(before.map_or(&[], |before| &before.slots))
    }

    /// The same with slots, where these were there before.
    fn arranged(mut self, before: &[SocketAddr]) -> Self {
        let most = if self.stays().is_some() {
            Kind::MOST_SAME
        } else {
            Kind::MOST_ANY
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let shares = shares(self.settings.scheduler, &self.real_servers, most);
        self.slots = arrange(before, shares);
        self
    }

    /// What is there of it.
    pub(super) fn observed(&self) -> ObservedServer {
        ObservedServer {
            owner: Owner::Ours,
            origin: self.origin.clone(),
            settings: self.settings.clone(),
            real_servers: self.real_servers.clone(),
            connections: BTreeMap::new(),
            bound: None,
        }
    }

    /// What the shared rules do for it.
    fn helper(&self, is_served: bool) -> Helper {
        let settings = &self.settings;
        let local = self.real_servers.iter().filter(|(_, real)| real.is_local);
        Helper {
            origin: self.origin.clone(),
            masquerade: settings.masquerade,
            source_ranges: Arc::clone(&settings.source_ranges),
            when_empty: settings.when_empty,
            is_served,
            is_closed: self.is_closed,
            local: local.map(|(address, _)| *address).collect(),
            mark: None,
        }
    }

    /// Whether clients stay, and for how long: in seconds.
    fn stays(&self) -> Option<u32> {
        self.settings.persistence
    }

    fn kind(&self) -> Option<Kind> {
        let slots = u32::try_from(self.slots.len())
            .ok()
            .filter(|slots| *slots > 0)?;
        Some(match self.stays() {
            None => Kind::Any { slots },
            Some(seconds) => Kind::same(slots, seconds),
        })
    }

    /// The way to its real servers, if it has any for new connections.
    fn way(&self, key: &Key) -> Option<Way> {
        let family = family_of(key);
        let ranges = &self.settings.source_ranges;
        let is_guarded = of_family(ranges, family).next().is_some();
        // Nobody else's clients inside have a virtual server of their own.
        let is_outside = self.settings.masquerade == Masquerade::Never;
        Some(Way {
            family,
            audience: key.audience,
            place: match key.frontend.address {
                VirtualAddress::Ip(_) => Place::Vip,
                VirtualAddress::EveryNodeAddress(_) => Place::Node,
            },
            is_checked: is_guarded || is_outside,
            kind: self.kind()?,
        })
    }

    /// What becomes of it: its number, and what is not in other elements.
    fn record(&self, key: &Key, way: Option<Way>) -> Placed {
        let number = Field::Mark(way.map_or(0, Way::number));
        let element = Element {
            user_data: settings_data(&self.settings),
            ..Element::mapping(vip(&key.frontend), Data::Value(number.into()))
        };
        Placed {
            set: Helper::set_of(SERVERS, key),
            element,
        }
    }

    /// Real servers by slot, for those of weight 0 by a slot that is none.
    fn slot_elements(&self, key: &Key) -> Vec<Placed> {
        if self.is_even() {
            let slots = (0..).zip(&self.slots);
            return slots
                .map(|(slot, address)| slot_element(key, slot, *address))
                .collect();
        }
        let mut noted = BTreeSet::new();
        let mut placed = |number, address: SocketAddr| {
            let mut placed = slot_element(key, number, address);
            if noted.insert(address) {
                placed.element.user_data = self.real_data(address);
            }
            placed
        };
        let mut elements: Vec<_> = if self.stays().is_some() {
            Vec::new()
        } else {
            (0..)
                .zip(&self.slots)
                .map(|(slot, address)| placed(slot, *address))
                .collect()
        };
        let chosen: BTreeSet<_> = self.slots.iter().collect();
        let left = self.real_servers.addresses();
        let left = left.filter(|address| !chosen.contains(address));
        elements.extend(
            (DRAINED..)
                .zip(left)
                .map(|(slot, address)| placed(slot, address)),
        );
        elements
    }

    /// Whether real servers have a slot each, all the same weight, and no clients that stay: then slots say all of them.
    fn is_even(&self) -> bool {
        self.stays().is_none()
            && self.slots.len() == self.real_servers.len()
            && self.real_servers.iter().all(|(_, real)| real.weight == 1)
    }

    /// Whether it differs from this one in who has which slot, and in nothing else that is in the table.
    fn has_other_slots_than(&self, other: &Self) -> bool {
        let local = |of: &'_ Self| -> Vec<SocketAddr> {
            let local = of.real_servers.iter().filter(|(_, real)| real.is_local);
            local.map(|(address, _)| *address).collect()
        };
        self.is_even()
            && other.is_even()
            && self.slots.len() == other.slots.len()
            && self.settings == other.settings
            && self.is_closed == other.is_closed
            && self.origin == other.origin
            && local(self) == local(other)
    }

    /// Real servers whose clients stay: numbers by slot, and each by its number.
    fn member_elements(&self, key: &Key) -> Vec<Placed> {
        let numbers = numbers(&self.slots);
        let placed = |name, number, data: Data, user_data| Placed {
            set: Helper::set_of(name, key),
            element: Element {
                user_data,
                ..Element::mapping(vip_and(&key.frontend, Field::Mark(number)), data)
            },
        };
        let group = Element::mapping(
            vip(&key.frontend),
            Data::Value(Field::Mark(self.group(key)).into()),
        );
        let mut elements = vec![Placed {
            set: Helper::set_of(GROUPS, key),
            element: group,
        }];
        for (slot, address) in (0..).zip(&self.slots) {
            let number = numbers.get(address).copied().unwrap_or(0);
            let data = Data::Value(Field::Mark(number).into());
            elements.push(placed(CHOICES, slot, data, UserData::default()));
        }
        for (address, number) in numbers {
            let data = Data::Value(endpoint(address));
            elements.push(placed(MEMBERS, number, data, self.real_data(address)));
        }
        elements
    }

    /// The number by which clients of the Service port are known, at all its addresses. Should two Service ports have
    /// the same, clients of both would be forgotten now and then, no more: members are each virtual server's own.
    fn group(&self, key: &Key) -> u32 {
        match &self.origin {
            Some(origin) => hash(origin.service_port.to_string().as_bytes()),
            None => hash(key.frontend.to_string().as_bytes()),
        }
    }

    /// The weight, where it is not 1.
    fn real_data(&self, address: SocketAddr) -> UserData {
        match self.real_servers.get(address).map_or(1, |it| it.weight) {
            1 => UserData::default(),
            weight => UserData::new(weight.to_be_bytes()),
        }
    }
}

impl Entry for Balanced {
    type Branch = Way;

    const SHAPES: &'static [Shape] = maps::SHAPES;

    fn chains(detector: &Detector) -> Vec<ChainOfRules> {
        maps::chains(detector)
    }

    fn constants() -> Vec<Placed> {
        maps::constants()
    }

    fn branch(branch: Way) -> Branch {
        branch.branch()
    }

    fn branch_named(name: &str) -> Option<Way> {
        Way::named(name)
    }

    fn content(&self, key: &Key) -> Content<Way> {
        let way = self.way(key);
        let mut content = self.helper(way.is_some()).content(key);
        content.own.push(self.record(key, way));
        content.own.extend(self.slot_elements(key));
        if self.stays().is_some() {
            content.own.extend(self.member_elements(key));
        }
        Content {
            own: content.own,
            shared: content.shared,
            branches: way.into_iter().collect(),
        }
    }

    fn apart(&self, later: &Self, key: &Key) -> [Content<Way>; 2] {
        if !self.has_other_slots_than(later) {
            return [self.content(key), later.content(key)];
        }
        let both = self.slots.iter().zip(&later.slots);
        let differing = (0..).zip(both).filter(|(_, (one, other))| one != other);
        let (before, after) = differing
            .map(|(slot, (one, other))| {
                (
                    slot_element(key, slot, *one),
                    slot_element(key, slot, *other),
                )
            })
            .unzip();
        [Content::of_own(before), Content::of_own(after)]
    }

    fn read(key: &Key, own: &[Placed]) -> Option<Self> {
        read::balanced(key, own)
    }

    /// Nobody wants the scheduler lblcr of nftables, which it has not: so whoever wants this virtual server edits it.
    fn broken() -> Self {
        Self {
            origin: None,
            settings: Settings {
                scheduler: Scheduler::Lblcr,
                persistence: None,
                source_ranges: Arc::default(),
                when_empty: WhenEmpty::Reject,
                masquerade: Masquerade::Never,
            },
            real_servers: RealServers::default(),
            is_closed: false,
            slots: Vec::new(),
        }
    }
}

/// A slot, and who has it.
fn slot_element(key: &Key, slot: u32, address: SocketAddr) -> Placed {
    let at = vip_and(&key.frontend, Field::Mark(slot));
    Placed {
        set: Helper::set_of(SLOTS, key),
        element: Element::mapping(at, Data::Value(endpoint(address))),
    }
}

/// Numbers of real servers, by which clients know them: the same in every virtual server, unless two of one have the
/// same.
fn numbers(addresses: &[SocketAddr]) -> BTreeMap<SocketAddr, u32> {
    let mut numbers = BTreeMap::new();
    let mut taken = BTreeSet::new();
    let all: BTreeSet<_> = addresses.iter().copied().collect();
    for address in all {
        let mut number = hash(address.to_string().as_bytes());
        while !taken.insert(number) {
            number = number.wrapping_add(1);
        }
        numbers.insert(address, number);
    }
    numbers
}

/// FNV-1a of 32 bits: the same in every version of this program, as the kernel outlives them.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Scheduler and persistence, where they are not rr and none.
fn settings_data(settings: &Settings) -> UserData {
    let scheduler = Scheduler::ALL
        .iter()
        .position(|it| *it == settings.scheduler);
    let scheduler = scheduler
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(0);
    match (settings.scheduler, settings.persistence) {
        (Scheduler::Rr, None) => UserData::default(),
        (_, persistence) => {
            let mut bytes = vec![scheduler, u8::from(persistence.is_some())];
            bytes.extend(persistence.unwrap_or(0).to_be_bytes());
            UserData::new(bytes)
        }
    }
}
