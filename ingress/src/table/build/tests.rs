//! What is built again and what is taken over.

use meshlite_snapshot::{HostMatch, ListenerProtocol, PathMatch, Resource, UpstreamProtocol};
use proptest::prelude::*;

use super::*;
use crate::tests::mesh::{self, HTTP};

fn put(snapshot: &mut Snapshot, name: &str, resource: Resource) {
    snapshot.insert(Name::new(name).unwrap(), resource);
}

/// Two Services with an endpoint each, and a host for each.
fn mk_snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    put(
        &mut snapshot,
        HTTP,
        mesh::listener(8080, ListenerProtocol::Http),
    );
    for (index, service) in (1..).zip(["one", "two"]) {
        let cluster = mesh::cluster(service, UpstreamProtocol::Http1);
        put(&mut snapshot, &format!("default/{service}/80"), cluster);
        let group = mesh::group(service, ([10, 0, 0, index], 80).into());
        put(
            &mut snapshot,
            &format!("default/{service}/{service}-1"),
            group,
        );
        let routes = vec![mesh::route(PathMatch::Prefix, "/", service)];
        let table = mesh::table(HostMatch::Exact(service.into()), routes);
        put(&mut snapshot, &format!("meshlite/{service}"), table);
    }
    snapshot
}

fn mk_builder() -> Builder {
    Builder::new(Arc::default(), Arc::new(Metrics::new(1))).unwrap()
}

fn cluster(builder: &mut Builder, name: &str) -> Arc<Cluster> {
    let id = builder.places.cluster(&Name::new(name).unwrap());
    Arc::clone(builder.built().cluster(id).unwrap())
}

fn paths(builder: &Builder, name: &str) -> Arc<PathIndex> {
    Arc::clone(&builder.hosts[name].1)
}

#[test]
fn a_changed_endpoint_changes_its_cluster_and_nothing_else() {
    let mut builder = mk_builder();
    let mut snapshot = mk_snapshot();
    assert_eq!(builder.build(&snapshot), []);
    let before = (
        cluster(&mut builder, "default/one/80"),
        cluster(&mut builder, "default/two/80"),
        paths(&builder, "meshlite/one"),
    );
    assert_eq!(before.0.counts.next(), 0);
    let group = mesh::group("one", ([10, 0, 0, 9], 80).into());
    put(&mut snapshot, "default/one/one-1", group);
    assert_eq!(builder.build(&snapshot), []);
    let after = cluster(&mut builder, "default/one/80");
    let addresses = after
        .endpoints
        .known()
        .iter()
        .map(|endpoint| endpoint.address);
    assert_eq!(addresses.collect::<Vec<_>>(), [([10, 0, 0, 9], 80).into()]);
    // Whose turn it is goes on from where it was.
    assert_eq!(after.counts.next(), 1);
    assert!(Arc::ptr_eq(
        &before.1,
        &cluster(&mut builder, "default/two/80")
    ));
    assert!(Arc::ptr_eq(&before.2, &paths(&builder, "meshlite/one")));
}

#[test]
fn a_group_that_says_the_same_again_keeps_the_cluster() {
    let mut builder = mk_builder();
    let mut snapshot = mk_snapshot();
    builder.build(&snapshot);
    let before = cluster(&mut builder, "default/one/80");
    let group = mesh::group("one", ([10, 0, 0, 1], 80).into());
    put(&mut snapshot, "default/one/one-2", group);
    builder.build(&snapshot);
    assert!(Arc::ptr_eq(
        &before,
        &cluster(&mut builder, "default/one/80")
    ));
}

#[test]
fn a_changed_route_leaves_other_hosts_and_clusters_as_they_are() {
    let mut builder = mk_builder();
    let mut snapshot = mk_snapshot();
    builder.build(&snapshot);
    let before = (
        cluster(&mut builder, "default/one/80"),
        paths(&builder, "meshlite/one"),
        paths(&builder, "meshlite/two"),
    );
    let routes = vec![mesh::route(PathMatch::Exact, "/new", "one")];
    let table = mesh::table(HostMatch::Exact("one".into()), routes);
    put(&mut snapshot, "meshlite/one", table);
    assert_eq!(builder.build(&snapshot), []);
    assert!(Arc::ptr_eq(
        &before.0,
        &cluster(&mut builder, "default/one/80")
    ));
    assert!(!Arc::ptr_eq(&before.1, &paths(&builder, "meshlite/one")));
    assert!(Arc::ptr_eq(&before.2, &paths(&builder, "meshlite/two")));
}

#[test]
fn a_cluster_that_comes_after_its_route_is_found_by_it() {
    let mut builder = mk_builder();
    let mut snapshot = mk_snapshot();
    let resource = Arc::clone(snapshot.clusters.get("default/one/80").unwrap());
    let name = Name::new("default/one/80").unwrap();
    snapshot.remove(ResourceType::Cluster, &name);
    assert_eq!(builder.build(&snapshot), []);
    let id = builder.places.cluster(&name);
    assert!(builder.built().cluster(id).is_none());
    snapshot.insert(name, Resource::Cluster(resource));
    assert_eq!(builder.build(&snapshot), []);
    assert!(builder.built().cluster(id).is_some());
}

#[test]
fn two_tables_for_one_host_are_refused_but_the_first() {
    let mut builder = mk_builder();
    let mut snapshot = mk_snapshot();
    let routes = vec![mesh::route(PathMatch::Prefix, "/", "two")];
    let table = mesh::table(HostMatch::Exact("one".into()), routes);
    put(&mut snapshot, "meshlite/z-again", table);
    let rejections = builder.build(&snapshot);
    assert!(!rejections.is_empty());
    assert!(
        rejections
            .iter()
            .all(|rejection| rejection.name.as_str() == "meshlite/z-again")
    );
}

mod differences {
    use super::*;

    fn changed(old: &Snapshot, new: &Snapshot) -> Vec<String> {
        let changed = changed_services(&old.endpoint_groups, &new.endpoint_groups);
        changed
            .into_iter()
            .map(|(namespace, name)| format!("{namespace}/{name}"))
            .collect()
    }

    #[test]
    fn only_services_with_other_groups_are_different() {
        let old = mk_snapshot();
        assert_eq!(changed(&old, &old), [""; 0]);
        let mut new = old.clone();
        let group = mesh::group("two", ([10, 0, 0, 9], 80).into());
        put(&mut new, "default/two/two-2", group);
        assert_eq!(changed(&old, &new), ["default/two"]);
        assert_eq!(changed(&new, &old), ["default/two"]);
        let group = mesh::group("one", ([10, 0, 0, 9], 80).into());
        put(&mut new, "default/one/one-1", group);
        assert_eq!(changed(&old, &new), ["default/one", "default/two"]);
        assert_eq!(
            changed(&Snapshot::default(), &old),
            ["default/one", "default/two"]
        );
    }
}

/// One resource of a small world comes, changes or goes, and then perhaps a table is built.
#[derive(Clone, Debug)]
struct Step {
    kind: ResourceType,
    service: usize,
    /// What it is like; none where it goes.
    version: Option<u8>,
    builds: bool,
}

const SERVICES: [&str; 4] = ["a", "b", "c", "d"];

fn step() -> impl Strategy<Value = Step> {
    let kinds = [
        ResourceType::Cluster,
        ResourceType::EndpointGroup,
        ResourceType::RouteTable,
    ];
    let version = proptest::option::weighted(0.8, 0_u8..3);
    let kind = proptest::sample::select(kinds.to_vec());
    (kind, 0..SERVICES.len(), version, any::<bool>()).prop_map(
        |(kind, service, version, builds)| Step {
            kind,
            service,
            version,
            builds,
        },
    )
}

impl Step {
    fn act_on(&self, snapshot: &mut Snapshot) {
        let service = SERVICES[self.service];
        let name = match self.kind {
            ResourceType::Cluster => format!("default/{service}/80"),
            ResourceType::EndpointGroup => format!("default/{service}/{service}-1"),
            _ => format!("meshlite/{service}"),
        };
        let Some(version) = self.version else {
            return snapshot.remove(self.kind, &Name::new(name).unwrap());
        };
        let resource = match self.kind {
            ResourceType::Cluster => {
                let protocols = [UpstreamProtocol::Http1, UpstreamProtocol::H2c];
                mesh::cluster(service, protocols[usize::from(version) % 2])
            }
            ResourceType::EndpointGroup => mesh::group(service, ([10, 0, 0, version], 80).into()),
            _ => {
                // Some want the host of another.
                let host = SERVICES[self.service / usize::from(version.max(1))];
                let routes = vec![mesh::route(PathMatch::Prefix, "/", service)];
                mesh::table(HostMatch::Exact(host.into()), routes)
            }
        };
        put(snapshot, &name, resource);
    }
}

/// Everything that a request could meet.
fn met(builder: &mut Builder) -> Vec<String> {
    let mut met = vec![format!("{:?}", builder.hosts.keys().collect::<Vec<_>>())];
    for service in SERVICES {
        let name = Name::new(format!("default/{service}/80")).unwrap();
        let id = builder.places.cluster(&name);
        let table = builder.built();
        let cluster = table.cluster(id).map(|cluster| {
            let known = cluster.endpoints.known().iter();
            let addresses: Vec<_> = known.map(|endpoint| endpoint.address).collect();
            (addresses, cluster.transport.is_http2)
        });
        let index = builder.indexes.get(HTTP);
        let source = index.and_then(|index| index.find_map(service, |paths| Some(paths.source())));
        met.push(format!("{service}: {cluster:?} {source:?}"));
    }
    met
}

proptest! {
    #[test]
    fn after_any_changes_a_table_is_what_a_fresh_builder_makes(
        steps in proptest::collection::vec(step(), 1..30),
    ) {
        let (mut snapshot, mut kept) = (mk_snapshot(), mk_builder());
        kept.build(&snapshot);
        for step in steps {
            step.act_on(&mut snapshot);
            if step.builds {
                // What is refused goes, as where it is installed.
                for refused in kept.build(&snapshot) {
                    snapshot.remove(refused.kind, &refused.name);
                }
                prop_assert_eq!(kept.build(&snapshot), []);
                let mut fresh = mk_builder();
                prop_assert_eq!(fresh.build(&snapshot), []);
                prop_assert_eq!(met(&mut kept), met(&mut fresh));
            }
        }
    }
}
