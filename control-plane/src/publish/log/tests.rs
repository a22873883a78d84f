//! The law of the log: whatever was published and whatever cursor a client has, the next commit makes it equal.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use meshlite_proto::decode::MAX_FRAME_BYTES;
use meshlite_snapshot::{
    AddressFamily, EndpointGroup, Namespace, Resource, SetDigest, Snapshot, Version,
};
use proptest::prelude::*;

use super::*;
use crate::publish::Resume;

/// What a client holds: versions by topic and name.
type Held = BTreeMap<(Topic, Name), Version>;

fn mk_namespace(name: &str) -> (Name, Resource) {
    let namespace = Namespace { name: name.into() };
    (
        Name::new(name).unwrap(),
        Resource::Namespace(Arc::new(namespace)),
    )
}

/// Groups of the same name with different slices are different resources.
fn mk_group(name: &str, slice: u8) -> (Name, Resource) {
    let group = EndpointGroup {
        namespace: "default".into(),
        service: "web".into(),
        slice: format!("{name}-{slice}"),
        address_family: AddressFamily::Ipv4,
        ports: vec![],
        endpoints: vec![],
    };
    (
        Name::part("default", "web", name).unwrap(),
        Resource::EndpointGroup(Arc::new(group)),
    )
}

fn compiled(resources: impl IntoIterator<Item = (Name, Resource)>) -> Compiled {
    let mut snapshot = Snapshot::default();
    for (name, resource) in resources {
        snapshot.insert(name, resource);
    }
    Compiled {
        snapshot,
        ..Compiled::default()
    }
}

fn with_routes_to(compiled: Compiled, groups: &[&str]) -> Compiled {
    let name = |name: &&str| Name::part("default", "web", name).unwrap();
    Compiled {
        ingress_endpoint_groups: groups.iter().map(name).collect(),
        ..compiled
    }
}

fn stamp_at(at: Instant) -> Stamp {
    Stamp {
        at,
        changed: SystemTime::UNIX_EPOCH,
    }
}

fn publish(log: &mut ChangeLog, compiled: &Compiled) -> View {
    log.publish(compiled, stamp_at(Instant::now()));
    log.view().clone()
}

fn held(view: &View, topics: &[Topic]) -> Held {
    let mut held = Held::new();
    apply(&mut held, view, topics, None);
    held
}

/// What a client does with a commit.
fn apply(held: &mut Held, view: &View, topics: &[Topic], from: Option<u64>) {
    if from.is_none() {
        held.clear();
    }
    for change in view.changes(topics, from) {
        let key = (change.topic, change.name.clone());
        match change.content {
            Some(content) => {
                held.insert(key, content.version);
            }
            None => {
                held.remove(&key);
            }
        }
    }
}

fn digests(held: &Held, topics: &[Topic]) -> BTreeMap<Topic, SetDigest> {
    let mut digests: BTreeMap<_, _> = topics.iter().map(|t| (*t, SetDigest::default())).collect();
    for ((topic, name), version) in held {
        digests.entry(*topic).or_default().add(name, *version);
    }
    digests
}

#[test]
fn the_generation_moves_only_where_something_changed() {
    let mut log = ChangeLog::new("one");
    let empty = publish(&mut log, &Compiled::default());
    assert_eq!(empty.generation(), 1);
    assert_eq!(publish(&mut log, &Compiled::default()).generation(), 1);
    let one = compiled([mk_namespace("a")]);
    assert_eq!(publish(&mut log, &one).generation(), 2);
    // The same value in another allocation.
    let same = compiled([mk_namespace("a")]);
    assert_eq!(publish(&mut log, &same).generation(), 2);
    assert_eq!(publish(&mut log, &compiled([])).generation(), 3);
}

#[test]
fn an_older_view_does_not_see_what_is_published_later() {
    let mut log = ChangeLog::new("one");
    let before = publish(&mut log, &compiled([mk_namespace("a")]));
    publish(&mut log, &compiled([mk_namespace("b")]));
    assert_eq!(held(&before, &TOPICS).len(), 1);
    assert_eq!(before.generation(), 1);
}

#[test]
fn a_delta_names_what_changed_and_nothing_else() {
    let mut log = ChangeLog::new("one");
    publish(
        &mut log,
        &compiled([mk_group("a", 1), mk_group("b", 1), mk_group("c", 1)]),
    );
    let view = publish(&mut log, &compiled([mk_group("a", 1), mk_group("b", 2)]));
    let changes: Vec<_> = view
        .changes(&TOPICS, Some(1))
        .iter()
        .map(|change| (change.name.to_string(), change.content.is_none()))
        .collect();
    assert_eq!(
        changes,
        [
            ("default/web/c".to_owned(), true),
            ("default/web/b".to_owned(), false)
        ]
    );
    assert_eq!(view.changes(&TOPICS, Some(2)).len(), 0);
    assert!(!view.has_changes(&[Topic::all(ResourceType::Node)], 1));
}

#[test]
fn the_ingress_scope_holds_the_groups_that_a_route_refers_to_and_shares_their_bytes() {
    let groups = || compiled([mk_group("a", 1), mk_group("b", 1)]);
    let mut log = ChangeLog::new("one");
    publish(&mut log, &with_routes_to(groups(), &["a", "missing"]));
    let view = publish(&mut log, &with_routes_to(groups(), &["b"]));
    let all: Vec<_> = view
        .entries(Topic::all(ResourceType::EndpointGroup))
        .collect();
    let scoped: Vec<_> = view.entries(INGRESS_ENDPOINTS).collect();
    assert_eq!((all.len(), scoped.len()), (2, 1));
    assert!(Arc::ptr_eq(&all[1].1.content, &scoped[0].1.content));
    let removed: Vec<_> = view
        .changes(&[INGRESS_ENDPOINTS], Some(1))
        .iter()
        .map(|change| (change.name.to_string(), change.content.is_none()))
        .collect();
    assert_eq!(removed.len(), 2, "{removed:?}");
    assert!(removed.contains(&("default/web/a".to_owned(), true)));
    assert!(!view.has_changes(&Topic::NODE, 1));
}

#[test]
fn a_client_that_holds_exactly_this_is_only_told_the_position() {
    let mut log = ChangeLog::new("new epoch");
    let view = publish(&mut log, &compiled([mk_namespace("a"), mk_group("b", 1)]));
    let same = digests(&held(&view, &Topic::NODE), &Topic::NODE);
    assert_eq!(view.resume(&same, Some(("old epoch", 77))), Resume::Confirm);
    assert_eq!(view.resume(&same, Some(("new epoch", 1))), Resume::Confirm);
    assert_eq!(view.resume(&same, None), Resume::Full);
    let mut other = same;
    other.insert(Topic::all(ResourceType::Namespace), SetDigest::default());
    assert_eq!(view.resume(&other, Some(("old epoch", 77))), Resume::Full);
}

#[test]
fn a_cursor_counts_only_with_the_digests_of_its_generation() {
    let mut log = ChangeLog::new("epoch");
    let first = publish(&mut log, &compiled([mk_namespace("a")]));
    let held_first = digests(&held(&first, &Topic::NODE), &Topic::NODE);
    publish(&mut log, &compiled([mk_namespace("b")]));
    let view = publish(&mut log, &compiled([mk_namespace("c")]));
    let resume = |generation| view.resume(&held_first, Some(("epoch", generation)));
    assert_eq!(resume(1), Resume::Delta(1));
    assert_eq!(resume(2), Resume::Full, "it does not hold what 2 held");
    assert_eq!(resume(4), Resume::Full, "there is no generation 4 yet");
    assert_eq!(view.resume(&held_first, Some(("another", 1))), Resume::Full);
}

#[test]
fn removals_are_forgotten_after_a_while_and_cursors_before_that_with_them() {
    let mut log = ChangeLog::new("epoch");
    let start = Instant::now();
    log.publish(
        &compiled([mk_group("a", 1), mk_group("b", 1)]),
        stamp_at(start),
    );
    let before = digests(&held(log.view(), &Topic::NODE), &Topic::NODE);
    log.publish(&compiled([mk_group("b", 1)]), stamp_at(start));
    log.publish(&compiled([mk_group("b", 2)]), stamp_at(start));
    assert_eq!(
        log.view().resume(&before, Some(("epoch", 1))),
        Resume::Delta(1)
    );
    let later = start + MAX_TOMBSTONE_AGE + Duration::from_secs(1);
    log.publish(&compiled([mk_group("b", 3)]), stamp_at(later));
    let view = log.view();
    assert_eq!(view.resume(&before, Some(("epoch", 1))), Resume::Full);
    assert!(view.reaches(2) && !view.reaches(1));
    let topic = Topic::all(ResourceType::EndpointGroup);
    assert!(view.topics[&topic].removed.is_empty());
    assert_eq!(view.topics[&topic].index.len(), 1);
    assert_eq!(view.state_at(topic, 1), None);
    assert_eq!(view.state_at(topic, 2).unwrap().count, 1);
}

#[test]
fn a_name_that_came_back_is_not_forgotten_with_its_removal() {
    let mut log = ChangeLog::new("epoch");
    let start = Instant::now();
    log.publish(&compiled([mk_group("a", 1)]), stamp_at(start));
    log.publish(&compiled([]), stamp_at(start));
    log.publish(&compiled([mk_group("a", 1)]), stamp_at(start));
    let later = start + MAX_TOMBSTONE_AGE + Duration::from_secs(1);
    log.publish(&compiled([mk_group("a", 1)]), stamp_at(later));
    assert_eq!(log.view().changes(&TOPICS, Some(2)).len(), 1);
    assert_eq!(log.view().state(TOPICS[3]).count, 1);
}

#[test]
fn a_resource_that_no_client_could_read_is_told_and_keeps_what_it_was() {
    let mut log = ChangeLog::new("epoch");
    let before = publish(&mut log, &compiled([mk_group("a", 1), mk_group("b", 1)]));
    let (name, _) = mk_group("a", 1);
    let huge = EndpointGroup {
        namespace: "default".into(),
        service: "web".into(),
        slice: "x".repeat(MAX_FRAME_BYTES),
        address_family: AddressFamily::Ipv4,
        ports: vec![],
        endpoints: vec![],
    };
    let huge = (name.clone(), Resource::EndpointGroup(Arc::new(huge)));
    let snapshot = compiled([huge, mk_group("b", 2)]);
    let outcome = log.publish(&snapshot, stamp_at(Instant::now()));
    assert_eq!(outcome.changed, 1);
    assert_eq!(outcome.too_large[0].name, name);
    let key = (Topic::all(ResourceType::EndpointGroup), name);
    assert_eq!(
        held(log.view(), &TOPICS)[&key],
        held(&before, &TOPICS)[&key]
    );
}

/// Some groups by number, each with a content number, and which of them a route refers to.
type Numbers = (BTreeMap<u8, u8>, BTreeSet<u8>);

fn snapshots() -> impl Strategy<Value = Vec<Numbers>> {
    let groups = prop::collection::btree_map(0..8_u8, 0..3_u8, 0..8);
    let routed = prop::collection::btree_set(0..8_u8, 0..4);
    prop::collection::vec((groups, routed), 1..12)
}

proptest! {
    #[test]
    fn from_any_cursor_the_next_commit_gives_what_is_published(
        snapshots in snapshots(),
        minutes in prop::collection::vec(0..6_u64, 12),
    ) {
        let mut log = ChangeLog::new("epoch");
        let mut now = Instant::now();
        // A client that stopped after each generation.
        let mut clients: Vec<(u64, Held)> = Vec::new();
        for ((groups, routed), minutes) in snapshots.iter().zip(minutes) {
            now += Duration::from_mins(minutes);
            let resources = groups.iter().map(|(name, content)| mk_group(&name.to_string(), *content));
            let routed: Vec<_> = routed.iter().map(u8::to_string).collect();
            let routed: Vec<_> = routed.iter().map(String::as_str).collect();
            let compiled = with_routes_to(compiled(resources), &routed);
            log.publish(&compiled, stamp_at(now));
            let view = log.view();
            let published = held(view, &TOPICS);

            // The published set is what was compiled, and the digests are those of the set.
            prop_assert_eq!(published.keys().filter(|(t, _)| *t != INGRESS_ENDPOINTS).count(), groups.len());
            for (topic, digest) in digests(&published, &TOPICS) {
                let count = published.keys().filter(|(t, _)| *t == topic).count() as u64;
                prop_assert_eq!(view.state(topic), TopicState { digest, count });
            }
            for (generation, client) in &clients {
                let said = digests(client, &TOPICS);
                let mut after = client.clone();
                match view.resume(&said, Some(("epoch", *generation))) {
                    Resume::Full => {
                        prop_assert!(!view.reaches(*generation));
                        apply(&mut after, view, &TOPICS, None);
                    }
                    Resume::Delta(from) => apply(&mut after, view, &TOPICS, Some(from)),
                    Resume::Confirm => {}
                }
                prop_assert_eq!(&after, &published);
                if view.reaches(*generation) {
                    let mut delta = client.clone();
                    apply(&mut delta, view, &TOPICS, Some(*generation));
                    prop_assert_eq!(&delta, &published);
                }
            }
            clients.push((view.generation(), published));
        }
    }
}
