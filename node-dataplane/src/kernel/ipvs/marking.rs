//! What has to change for virtual servers by mark to be those that Service ports need. Pure.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_ipvs::{Change, ServiceKey};
use meshlite_snapshot::AddressFamily;

use super::{
    mark::Mark,
    programmed::{Port, Programmed},
    sharing::{self, Content},
    value,
};
use crate::table::Key;

/// What has to change, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Marking {
    /// Of IPVS, each with a place that it is for.
    pub(super) changes: Vec<(Key, Change)>,
    /// Which marks packets get; none.
    pub(super) marks: Vec<(Key, Option<Mark>)>,
    /// Virtual servers that no packet is marked for any more, and their real servers.
    pub(super) retired: Vec<(Mark, Content)>,
}

/// Hands out marks.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    next: u32,
}

impl Numbers {
    fn free(&mut self, family: AddressFamily, is_taken: impl Fn(Mark) -> bool) -> Option<Mark> {
        let mark = Mark::free(family, self.next, is_taken);
        self.next = self.next.wrapping_add(1);
        mark
    }
}

/// Makes the virtual servers by mark of these Service ports what they should be. Marks for which `is_taken` says so are
/// somebody else's. Places that `left` their Service port with this apply had these marks.
pub(super) fn remark(
    programmed: &mut Programmed,
    ports: &BTreeSet<Port>,
    left: &BTreeMap<Key, Mark>,
    numbers: &mut Numbers,
    is_taken: impl Fn(Mark) -> bool,
) -> Marking {
    let mut marking = Marking::default();
    let mut doubtful: BTreeSet<Mark> = left.values().copied().collect();
    marking.marks.extend(left.keys().map(|key| (*key, None)));
    for port in ports {
        let places = programmed.of_port(port);
        let had: BTreeMap<Key, Option<Mark>> = places
            .iter()
            .map(|(key, server)| (*key, server.mark))
            .collect();
        let wanted = sharing::shared(&places);
        drop(places);
        let mut reused = reuse(programmed, &wanted, &had);
        let mut has = BTreeMap::new();
        for (index, (content, sharers)) in wanted.into_iter().enumerate() {
            let Some(first) = sharers.first().copied() else {
                continue;
            };
            let family = AddressFamily::of(first.frontend.address.ip());
            let is_taken = |mark| is_taken(mark) || programmed.marked().contains_key(&mark);
            let mark = reused
                .remove(&index)
                .or_else(|| numbers.free(family, is_taken));
            let Some(mark) = mark else {
                continue;
            };
            let before = programmed.set_content(mark, content.clone());
            let changes = changes(mark.service_key(), before.as_ref(), &content);
            marking
                .changes
                .extend(changes.into_iter().map(|change| (first, change)));
            has.extend(sharers.into_iter().map(|key| (key, mark)));
        }
        for (key, before) in had {
            let mark = has.get(&key).copied();
            if mark != before {
                programmed.set_mark(&key, mark);
                marking.marks.push((key, mark));
                doubtful.extend(before);
            }
        }
    }
    let retired = doubtful.into_iter();
    marking.retired = retired
        .filter_map(|mark| Some((mark, programmed.forget_unused(mark)?)))
        .collect();
    marking
}

/// Which of the marks that places have go on as whose: where the fewest real servers would be taken out, which may
/// have connections.
fn reuse(
    programmed: &Programmed,
    wanted: &[(Content, Vec<Key>)],
    had: &BTreeMap<Key, Option<Mark>>,
) -> BTreeMap<usize, Mark> {
    let marks: BTreeSet<Mark> = had.values().copied().flatten().collect();
    let mut reused = BTreeMap::new();
    for mark in marks {
        let Some(marked) = programmed.marked().get(&mark) else {
            continue;
        };
        if !marked.keys.iter().all(|key| had.contains_key(key)) {
            continue;
        }
        let heirs = wanted.iter().enumerate().filter(|(index, (_, sharers))| {
            !reused.contains_key(index) && sharers.iter().any(|key| marked.keys.contains(key))
        });
        let best = heirs.min_by_key(|(_, (content, _))| marked.content.lacking_in(content));
        if let Some((index, _)) = best {
            reused.insert(index, mark);
        }
    }
    reused
}

/// What IPVS has to do for a virtual server to do this, which did that before.
pub(super) fn changes(key: ServiceKey, before: Option<&Content>, after: &Content) -> Vec<Change> {
    let service =
        |content: &Content| value::service_of(key, content.scheduler, content.persistence);
    let mut changes = Vec::new();
    match before {
        None => changes.push(Change::AddService(service(after))),
        Some(before) if service(before) != service(after) => {
            changes.push(Change::EditService(service(after)));
        }
        Some(_) => {}
    }
    let none = BTreeMap::new();
    let had = before.map_or(&none, |before| &before.weights);
    for (&address, &weight) in &after.weights {
        let destination = value::destination(address, weight);
        match had.get(&address) {
            None => changes.push(Change::AddDestination(key, destination)),
            Some(before) if *before != weight => {
                changes.push(Change::EditDestination(key, destination));
            }
            Some(_) => {}
        }
    }
    let gone = had
        .keys()
        .filter(|address| !after.weights.contains_key(*address));
    changes.extend(gone.map(|address| Change::DeleteDestination(key, (*address).into())));
    changes
}
