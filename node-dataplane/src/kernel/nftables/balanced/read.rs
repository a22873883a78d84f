//! What elements of the table say of a virtual server that nftables balances.

use std::{collections::BTreeMap, net::SocketAddr};

use meshlite_nft::{Data, UserData};

use super::{Balanced, DRAINED};
use crate::{
    kernel::{
        nftables::maps::{CHOICES, MEMBERS, SERVERS, SLOTS},
        rules::{
            Entry as _, Helper, Placed,
            value::{read_endpoint, read_number, split_vip},
        },
    },
    table::{Key, RealServer, Scheduler, Settings},
};

/// What these elements say of the virtual server; none where they are not what anybody wanted.
pub(super) fn balanced(key: &Key, own: &[Placed]) -> Option<Balanced> {
    let helper = Helper::read(key, own)?;
    let of = |name| own.iter().filter(move |placed| placed.set.name == name);
    let record = &of(SERVERS).next()?.element;
    let (scheduler, persistence) = read_settings(&record.user_data)?;
    let mut real_servers = BTreeMap::new();
    for placed in of(SLOTS).chain(of(MEMBERS)) {
        let address = endpoint_of(placed)?;
        let weight = read_weight(&placed.element.user_data)?;
        let real = real_servers.entry(address).or_insert(RealServer {
            weight: 1,
            is_local: helper.local.contains(&address),
        });
        // Only one of its elements says so.
        if weight != 1 {
            real.weight = weight;
        }
    }
    let slots = read_slots(own)?;
    let read = Balanced {
        origin: helper.origin,
        settings: Settings {
            scheduler,
            persistence,
            source_ranges: helper.source_ranges,
            when_empty: helper.when_empty,
            masquerade: helper.masquerade,
        },
        real_servers: real_servers.into_iter().collect(),
        is_closed: helper.is_closed,
        slots: Vec::new(),
    };
    // Where shares are others than they should be, it is not what anybody wanted.
    Some(read.arranged(&slots)).filter(|read| read.slots == slots)
}

/// Real servers in the order of their slots, those that are never chosen left out.
fn read_slots(own: &[Placed]) -> Option<Vec<SocketAddr>> {
    let of = |name| own.iter().filter(move |placed| placed.set.name == name);
    let mut members = BTreeMap::new();
    for member in of(MEMBERS) {
        members.insert(number_of(member)?, endpoint_of(member)?);
    }
    let mut slots = BTreeMap::new();
    for slot in of(SLOTS) {
        slots.insert(number_of(slot)?, endpoint_of(slot)?);
    }
    for choice in of(CHOICES) {
        let Some(Data::Value(number)) = &choice.element.data else {
            return None;
        };
        let member = members.get(&read_number(number.as_bytes())?)?;
        slots.insert(number_of(choice)?, *member);
    }
    let chosen = slots.into_iter().filter(|(slot, _)| *slot < DRAINED);
    Some(chosen.map(|(_, address)| address).collect())
}

/// The number after the place that it is at.
fn number_of(placed: &Placed) -> Option<u32> {
    let (_, number) = split_vip(placed.element.key.as_ref()?.as_bytes(), placed.set.family)?;
    read_number(number)
}

/// The endpoint that it leads to.
fn endpoint_of(placed: &Placed) -> Option<SocketAddr> {
    let Some(Data::Value(data)) = &placed.element.data else {
        return None;
    };
    read_endpoint(data.as_bytes(), placed.set.family)
}

fn read_settings(data: &UserData) -> Option<(Scheduler, Option<u32>)> {
    if data.is_empty() {
        return Some((Scheduler::Rr, None));
    }
    let [scheduler, is_persistent, seconds @ ..] = <[u8; 6]>::try_from(data.as_bytes()).ok()?;
    let persistence = (is_persistent == 1).then(|| u32::from_be_bytes(seconds));
    Some((*Scheduler::ALL.get(usize::from(scheduler))?, persistence))
}

fn read_weight(data: &UserData) -> Option<u16> {
    if data.is_empty() {
        return Some(1);
    }
    Some(u16::from_be_bytes(
        <[u8; 2]>::try_from(data.as_bytes()).ok()?,
    ))
}
