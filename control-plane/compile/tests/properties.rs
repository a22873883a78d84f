//! Laws of the compiler: total, deterministic, and a bad object changes nothing of what another one means.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

#[path = "objects/mutate.rs"]
mod mutate;
mod objects;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, LazyLock},
};

use meshlite_compile::{Compiled, Inputs, ObjectKey, Settings, compile};
use meshlite_snapshot::{Filter, Finding, Name, PathMatch, Route, Snapshot, Table};
use mutate::{Mutation, mutation};
use proptest::{prelude::*, sample::Index};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// The objects of each golden case: good ones and bad ones, of every kind.
static CASES: LazyLock<Vec<Vec<Value>>> = LazyLock::new(|| {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<_> = fs::read_dir(cases)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("objects.yaml"))
        .collect();
    paths.sort();
    let cases: Vec<_> = paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            yaml_serde::Deserializer::from_str(&text)
                .map(|document| Value::deserialize(document).unwrap())
                .filter(|object| object["kind"] != "Settings")
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        cases.iter().all(|objects| !objects.is_empty()),
        "a case without objects"
    );
    cases
});

fn case() -> impl Strategy<Value = Vec<Value>> {
    proptest::sample::select(&CASES[..])
}

/// A case and one of its objects, of a kind that this holds for.
fn case_and_object(of_kind: fn(&str) -> bool) -> impl Strategy<Value = (Vec<Value>, usize)> {
    let mut all = Vec::new();
    for objects in &*CASES {
        for (i, object) in objects.iter().enumerate() {
            if of_kind(object["kind"].as_str().unwrap()) {
                all.push((objects, i));
            }
        }
    }
    proptest::sample::select(all).prop_map(|(objects, i)| (objects.clone(), i))
}

fn settings() -> Settings {
    Settings {
        watch_ingress_without_class: true,
        default_certificate: Some(Name::new("default/a").unwrap()),
        ..Settings::default()
    }
}

/// The objects that are still of their kind's form.
fn inputs(objects: &[Value]) -> Inputs {
    let mut inputs = Inputs::default();
    for object in objects {
        // What does not parse never reaches the compiler.
        objects::insert(&mut inputs, object).ok();
    }
    inputs
}

/// Changes the object and keeps what it is called.
fn break_it(object: &Value, mutations: &[Mutation]) -> Value {
    let mut broken = object.clone();
    for mutation in mutations {
        mutation.apply(&mut broken);
    }
    for field in ["apiVersion", "kind"] {
        broken[field] = object[field].clone();
    }
    if !broken["metadata"].is_object() {
        broken["metadata"] = json!({});
    }
    for field in ["name", "namespace", "creationTimestamp"] {
        broken["metadata"][field] = object["metadata"][field].clone();
    }
    broken
}

fn key(object: &Value) -> ObjectKey {
    let text = |field: &str| object["metadata"][field].as_str();
    ObjectKey::new(
        text("namespace").unwrap_or("default"),
        text("name").unwrap_or_default(),
    )
}

fn findings_of_others<'a>(compiled: &'a Compiled, kind: &str, key: &ObjectKey) -> Vec<&'a Finding> {
    compiled
        .findings
        .iter()
        .filter(|finding| finding.object.kind == *kind)
        .filter(|finding| finding.object.name != key.name)
        .collect()
}

/// What holds of everything that is compiled.
fn check(compiled: &Compiled) -> Result<(), TestCaseError> {
    let Compiled {
        snapshot,
        ingress_endpoint_groups,
        findings,
    } = compiled;
    prop_assert!(findings.is_sorted_by(|a, b| a < b), "sorted, each once");
    for (name, table) in snapshot.route_tables.iter() {
        prop_assert!(table.routes.is_sorted_by(|a, b| a.rank < b.rank), "{name}");
        for listener in &table.listeners {
            prop_assert!(snapshot.listeners.contains_key(listener), "{listener}");
        }
        for cluster in table.routes.iter().flat_map(named_clusters) {
            prop_assert!(snapshot.clusters.contains_key(cluster), "{name}: {cluster}");
        }
    }
    for name in ingress_endpoint_groups {
        prop_assert!(snapshot.endpoint_groups.contains_key(name), "{name}");
    }
    for listener in snapshot.listeners.values() {
        let default = listener
            .tls
            .as_ref()
            .and_then(|tls| tls.default_certificate.as_ref());
        if let Some(name) = default {
            prop_assert!(snapshot.tls_secrets.contains_key(name), "{name}");
        }
    }
    for (name, weights) in snapshot.weights.iter() {
        prop_assert!(snapshot.services.contains_key(name), "{name}");
        let addresses = weights.endpoints.iter().map(|endpoint| endpoint.address);
        prop_assert!(addresses.is_sorted_by(|a, b| a < b), "{name}");
    }
    for group in snapshot.endpoint_groups.values() {
        prop_assert!(
            group
                .endpoints
                .is_sorted_by_key(|endpoint| endpoint.address)
        );
    }
    Ok(())
}

/// Every cluster that a route may send to.
fn named_clusters(route: &Route) -> Vec<&Name> {
    let mut all: Vec<_> = route.backends.iter().collect();
    let mut names = vec![];
    if let Some(policy) = &route.policy {
        all.extend(policy.canaries.iter().flat_map(|canary| &canary.backends));
        names.extend(policy.error_pages.as_ref().map(|pages| &pages.cluster));
        names.extend(&policy.default_backend);
        let external = policy.access.external.as_ref();
        names.extend(external.and_then(|auth| auth.cluster.as_ref()));
    }
    for filter in &route.filters {
        if let Filter::Mirror(to) = filter {
            all.push(to);
        }
    }
    names.extend(all.into_iter().map(|share| &share.cluster));
    names
}

/// Everything but what comes from this one object.
fn others(snapshot: &Snapshot, kind: &str, key: &ObjectKey) -> Snapshot {
    let mut rest = snapshot.clone();
    let own = key.to_string();
    let prefix = format!("{own}/");
    match kind {
        "Service" => {
            let service = Name::new(&own).unwrap();
            rest.services.remove(&service);
            let not_its = |name: &Name| !name.as_str().starts_with(&prefix);
            retain(&mut rest.endpoint_groups, |name, _| not_its(name));
            retain(&mut rest.clusters, |name, _| not_its(name));
            rest.weights.remove(&service);
        }
        "EndpointSlice" => {
            // Those of its Service are about it too.
            rest.weights = Table::default();
            retain(&mut rest.endpoint_groups, |_, group| {
                (&group.namespace, &group.slice) != (&key.namespace, &key.name)
            });
        }
        "Secret" => {
            retain(&mut rest.tls_secrets, |name, _| name.as_str() != own);
            retain(&mut rest.credentials, |name, _| {
                name.as_str() != own && !name.as_str().starts_with(&prefix)
            });
            // It may be the default certificate.
            rest.listeners = Table::default();
        }
        "Factors" => rest.weights = Table::default(),
        "Node" => {
            retain(&mut rest.nodes, |name, _| name.as_str() != key.name);
        }
        "Namespace" => {
            retain(&mut rest.namespaces, |name, _| name.as_str() != key.name);
        }
        // Which Ingresses are served depends on it.
        "IngressClass" => {
            rest.route_tables = Table::default();
            rest.clusters = Table::default();
            rest.tls_secrets = Table::default();
            rest.credentials = Table::default();
        }
        other => panic!("no law for {other}"),
    }
    rest
}

fn retain<T>(table: &mut Table<T>, wanted: impl Fn(&Name, &T) -> bool) {
    let kept = table.iter().filter(|(name, value)| wanted(name, value));
    *table = kept
        .map(|(name, value)| (name.clone(), Arc::clone(value)))
        .collect();
}

/// Each host's routes but those of one Ingress. A route for every path hides a default backend, so `/` is left out.
fn routes_of_others(snapshot: &Snapshot, ingress: &ObjectKey) -> BTreeMap<Name, Vec<Route>> {
    let mut tables = BTreeMap::new();
    for (name, table) in snapshot.route_tables.iter() {
        let mut routes = table.routes.clone();
        routes.retain(|route| {
            let is_root = route.path.kind == PathMatch::Prefix && route.path.value == "/";
            let is_its =
                (&route.owner.namespace, &route.owner.name) == (&ingress.namespace, &ingress.name);
            !is_root && !is_its
        });
        for route in &mut routes {
            route.rank = 0;
        }
        if !routes.is_empty() {
            tables.insert(name.clone(), routes);
        }
    }
    tables
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_objects_compile_and_twice_to_the_same(
        mut objects in case(),
        mutations in proptest::collection::vec((any::<Index>(), mutation()), 0..12),
    ) {
        for (which, mutation) in &mutations {
            let which = which.index(objects.len());
            mutation.apply(&mut objects[which]);
        }
        let inputs = inputs(&objects);
        let compiled = compile(&inputs, &settings());
        check(&compiled)?;
        prop_assert_eq!(compiled, compile(&inputs.clone(), &settings()));
    }

    #[test]
    fn the_order_of_the_objects_never_matters(
        (objects, shuffled) in case().prop_flat_map(|objects| {
            (Just(objects.clone()), Just(objects).prop_shuffle())
        }),
    ) {
        let settings = settings();
        prop_assert_eq!(
            compile(&inputs(&objects), &settings),
            compile(&inputs(&shuffled), &settings)
        );
    }

    #[test]
    fn a_bad_object_changes_nothing_of_what_another_means(
        (objects, which) in case_and_object(|kind| kind != "Ingress"),
        mutations in proptest::collection::vec(mutation(), 1..6),
    ) {
        let kind = objects[which]["kind"].as_str().unwrap().to_owned();
        let key = key(&objects[which]);
        let before = compile(&inputs(&objects), &settings());
        let mut broken = objects;
        broken[which] = break_it(&broken[which], &mutations);
        let after = compile(&inputs(&broken), &settings());
        check(&after)?;
        prop_assert_eq!(
            others(&before.snapshot, &kind, &key),
            others(&after.snapshot, &kind, &key)
        );
        prop_assert_eq!(
            findings_of_others(&before, &kind, &key),
            findings_of_others(&after, &kind, &key)
        );
    }

    #[test]
    fn the_youngest_ingress_takes_nothing_from_older_ones(
        (mut objects, which) in case_and_object(|kind| kind == "Ingress"),
        mutations in proptest::collection::vec(mutation(), 0..6),
    ) {
        let mut youngest = break_it(&objects[which], &mutations);
        youngest["metadata"]["creationTimestamp"] = json!("2999-01-01T00:00:00Z");
        youngest["metadata"]["name"] = json!("zzz");
        let key = key(&youngest);
        // An Ingress without an age would be younger still.
        for object in &mut objects {
            if object["metadata"]["creationTimestamp"].is_null() {
                object["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
            }
        }
        let before = compile(&inputs(&objects), &settings());
        objects.push(youngest);
        let after = compile(&inputs(&objects), &settings());
        check(&after)?;
        prop_assert_eq!(
            routes_of_others(&before.snapshot, &key),
            routes_of_others(&after.snapshot, &key)
        );
        for (name, cluster) in before.snapshot.clusters.iter() {
            let still = after.snapshot.clusters.get(name);
            // The cluster of a default backend goes with its route.
            prop_assert!(still.is_none_or(|still| still == cluster), "{}", name);
        }
        for (name, secret) in before.snapshot.tls_secrets.iter() {
            let still = after.snapshot.tls_secrets.get(name);
            for binding in &secret.bindings {
                let is_kept = still.is_some_and(|still| still.bindings.contains(binding));
                prop_assert!(is_kept, "{} loses {:?}", name, binding);
            }
        }
        prop_assert_eq!(&before.snapshot.services, &after.snapshot.services);
        prop_assert_eq!(&before.snapshot.endpoint_groups, &after.snapshot.endpoint_groups);
        prop_assert_eq!(&before.snapshot.listeners, &after.snapshot.listeners);
    }
}
