//! The law of the log: whatever was published and whatever cursor a client has, the next commit makes it equal.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use meshlite_compile::Compiled;
use meshlite_proto::decode::MAX_FRAME_BYTES;
use meshlite_snapshot::{
    AddressFamily, Bucket, BucketDigests, EndpointGroup, Namespace, Resource, SetDigest, Snapshot,
    Version,
};
use proptest::prelude::*;

use super::*;
use crate::{
    publish::{Held as Brought, Range, Resume, TopicState},
    testing::delta,
};

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

fn publish_at(log: &mut ChangeLog, compiled: &Compiled, at: Instant) -> usize {
    let mut delta = delta(Some(log.view()), compiled);
    for name in &log.routed {
        let groups = &mut delta.ingress_endpoint_groups;
        groups.entry(name.clone()).or_insert(false);
    }
    log.publish(&delta, stamp_at(at), Vec::new())
}

fn publish(log: &mut ChangeLog, compiled: &Compiled) -> View {
    publish_at(log, compiled, Instant::now());
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

const FULL: Resume = Resume::With(Range::Full);
const CONFIRM: Resume = Resume::With(Range::Nothing);

fn resume(view: &View, held: &BTreeMap<Topic, SetDigest>, cursor: Option<(&str, u64)>) -> Resume {
    view.resume(&Brought {
        sets: held.iter().map(|(t, d)| (*t, *d)).collect(),
        cursor: cursor.map(|(epoch, generation)| (epoch.to_owned(), generation)),
    })
}

/// What a client says that its buckets hold.
fn bucket_digests(held: &Held) -> BucketDigests {
    let mut by_topic: BTreeMap<Topic, BucketDigests> = BTreeMap::new();
    for ((topic, name), version) in held {
        by_topic.entry(*topic).or_default().add(name, *version);
    }
    let mut together = BucketDigests::default();
    for (topic, digests) in by_topic {
        for bucket in Bucket::all() {
            together.add_topic(topic.kind, bucket, digests.get(bucket));
        }
    }
    together
}

/// What a client does with whole buckets.
fn replace_buckets(held: &mut Held, view: &View, buckets: &[Bucket]) {
    held.retain(|(_, name), _| !buckets.contains(&Bucket::of(name)));
    for change in view.in_buckets(TOPICS.into_iter().collect(), buckets) {
        let version = change.content.unwrap().version;
        held.insert((change.topic, change.name.clone()), version);
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
    let nodes = TopicSet::from_iter([Topic::all(ResourceType::Node)]);
    assert!(!view.has_changes(nodes, 1));
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
    assert!(all[1].1.body.is_same(&scoped[0].1.body));
    let removed: Vec<_> = view
        .changes(&[INGRESS_ENDPOINTS], Some(1))
        .iter()
        .map(|change| (change.name.to_string(), change.content.is_none()))
        .collect();
    assert_eq!(removed.len(), 2, "{removed:?}");
    assert!(removed.contains(&("default/web/a".to_owned(), true)));
    assert!(!view.has_changes(Topic::NODE.into_iter().collect(), 1));
}

#[test]
fn a_client_that_holds_exactly_this_is_only_told_the_position() {
    let mut log = ChangeLog::new("new epoch");
    let view = publish(&mut log, &compiled([mk_namespace("a"), mk_group("b", 1)]));
    let same = digests(&held(&view, &Topic::NODE), &Topic::NODE);
    assert_eq!(resume(&view, &same, Some(("old epoch", 77))), CONFIRM);
    assert_eq!(resume(&view, &same, Some(("new epoch", 1))), CONFIRM);
    assert_eq!(resume(&view, &same, None), FULL);
    let mut other = same;
    other.insert(Topic::all(ResourceType::Namespace), SetDigest::default());
    assert_eq!(
        resume(&view, &other, Some(("old epoch", 77))),
        Resume::Compare
    );
}

#[test]
fn a_cursor_counts_only_with_the_digests_of_its_generation() {
    let mut log = ChangeLog::new("epoch");
    let first = publish(&mut log, &compiled([mk_namespace("a")]));
    let held_first = digests(&held(&first, &Topic::NODE), &Topic::NODE);
    publish(&mut log, &compiled([mk_namespace("b")]));
    let view = publish(&mut log, &compiled([mk_namespace("c")]));
    let at = |generation| resume(&view, &held_first, Some(("epoch", generation)));
    assert_eq!(at(1), Resume::With(Range::Since(1)));
    assert_eq!(at(2), Resume::Compare, "it does not hold what 2 held");
    assert_eq!(at(4), Resume::Compare, "there is no generation 4 yet");
    assert_eq!(
        resume(&view, &held_first, Some(("another", 1))),
        Resume::Compare
    );
}

#[test]
fn removals_are_forgotten_after_a_while_and_cursors_before_that_with_them() {
    let mut log = ChangeLog::new("epoch");
    let start = Instant::now();
    publish_at(
        &mut log,
        &compiled([mk_group("a", 1), mk_group("b", 1)]),
        start,
    );
    let before = digests(&held(log.view(), &Topic::NODE), &Topic::NODE);
    publish_at(&mut log, &compiled([mk_group("b", 1)]), start);
    publish_at(&mut log, &compiled([mk_group("b", 2)]), start);
    assert_eq!(
        resume(log.view(), &before, Some(("epoch", 1))),
        Resume::With(Range::Since(1))
    );
    let later = start + MAX_TOMBSTONE_AGE + Duration::from_secs(1);
    publish_at(&mut log, &compiled([mk_group("b", 3)]), later);
    let view = log.view();
    assert_eq!(resume(view, &before, Some(("epoch", 1))), Resume::Compare);
    assert!(view.reaches(2) && !view.reaches(1));
    let topic = Topic::all(ResourceType::EndpointGroup);
    let remembered = view.topics[place(topic).unwrap()].since(0);
    assert_eq!(remembered.count(), 1, "only what is there");
    assert_eq!(view.state_at(topic, 1), None);
    assert_eq!(view.state_at(topic, 2).unwrap().count, 1);
}

#[test]
fn what_a_client_lacks_is_told_by_its_buckets() {
    let names: Vec<_> = (0..1000).map(|i| i.to_string()).collect();
    let all = || names.iter().map(|name| mk_group(name, 1));
    let mut log = ChangeLog::new("epoch");
    let old = publish(&mut log, &compiled(all()));
    let mut client = held(&old, &Topic::NODE);
    let topics = Topic::NODE.into_iter().collect();
    let mut log = ChangeLog::new("another");
    let changed = all().skip(3).chain([mk_group("0", 2), mk_group("new", 1)]);
    let view = publish(&mut log, &compiled(changed));
    let Range::Buckets(buckets) = view.compare(topics, &bucket_digests(&client)) else {
        panic!("few buckets differ");
    };
    assert!((1..=4).contains(&buckets.len()), "{buckets:?}");
    replace_buckets(&mut client, &view, &buckets);
    assert_eq!(client, held(&view, &Topic::NODE));
    let nothing = BucketDigests::default();
    assert!(matches!(view.compare(topics, &nothing), Range::Buckets(_)));
    let all_the_same = bucket_digests(&client);
    assert_eq!(view.compare(topics, &all_the_same), Range::Full);
}

#[test]
fn where_most_buckets_differ_everything_is_sent() {
    let names: Vec<_> = (0..3000).map(|i| i.to_string()).collect();
    let mut log = ChangeLog::new("epoch");
    let view = publish(&mut log, &compiled(names.iter().map(|n| mk_group(n, 1))));
    let topics = Topic::NODE.into_iter().collect();
    assert_eq!(view.compare(topics, &BucketDigests::default()), Range::Full);
}

#[test]
fn a_name_that_came_back_is_not_forgotten_with_its_removal() {
    let mut log = ChangeLog::new("epoch");
    let start = Instant::now();
    publish_at(&mut log, &compiled([mk_group("a", 1)]), start);
    publish_at(&mut log, &compiled([]), start);
    publish_at(&mut log, &compiled([mk_group("a", 1)]), start);
    let later = start + MAX_TOMBSTONE_AGE + Duration::from_secs(1);
    publish_at(&mut log, &compiled([mk_group("a", 1)]), later);
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
    assert_eq!(publish_at(&mut log, &snapshot, Instant::now()), 1);
    let standing: Vec<_> = log.too_large().collect();
    assert_eq!(standing[0].name, name);
    // It stands until the resource fits or is gone.
    log.publish(&Delta::default(), stamp_at(Instant::now()), Vec::new());
    assert_eq!(log.too_large().count(), 1);
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
            publish_at(&mut log, &compiled, now);
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
                match resume(view, &said, Some(("epoch", *generation))) {
                    Resume::Compare => {
                        prop_assert!(!view.reaches(*generation));
                        match view.compare(TOPICS.into_iter().collect(), &bucket_digests(client)) {
                            Range::Buckets(buckets) => replace_buckets(&mut after, view, &buckets),
                            other => prop_assert!(false, "{other:?}"),
                        }
                    }
                    Resume::With(Range::Since(from)) => apply(&mut after, view, &TOPICS, Some(from)),
                    Resume::With(range) => prop_assert_eq!(range, Range::Nothing),
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
