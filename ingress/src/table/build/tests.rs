//! What is built again and what is taken over.

use meshlite_snapshot::{
    ClientAuth, ClientAuthMode, HostMatch, ListenerProtocol, PathMatch, Resource, RouteTable,
    UpstreamProtocol,
};
use proptest::prelude::*;

use super::*;
use crate::{
    table::{Cluster, ClusterId, PathIndex},
    tests::{
        client_certificates::mk_rule,
        mesh::{self, HTTP, HTTPS},
        tls::mk_secret,
    },
};

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

/// A builder, and what it last built from.
struct World {
    builder: Builder,
    built: Snapshot,
}

impl World {
    fn new() -> Self {
        let builder = Builder::new(Arc::default(), Arc::new(Metrics::new(1)));
        Self {
            builder: builder.unwrap(),
            built: Snapshot::default(),
        }
    }

    /// Builds from what differs.
    fn build(&mut self, snapshot: &Snapshot) -> Vec<Rejection> {
        let changes = mesh::changes(&self.built, snapshot);
        self.built = snapshot.clone();
        self.builder.build(snapshot, &changes)
    }

    fn place(&mut self, name: &str) -> ClusterId {
        self.builder.places.cluster(&Name::new(name).unwrap())
    }

    fn cluster(&mut self, name: &str) -> Arc<Cluster> {
        let place = self.place(name);
        Arc::clone(self.builder.built().cluster(place).unwrap())
    }

    fn paths(&self, name: &str) -> Arc<PathIndex> {
        Arc::clone(self.builder.hosts.named(name).unwrap())
    }
}

#[test]
fn a_changed_endpoint_changes_its_cluster_and_nothing_else() {
    let mut world = World::new();
    let mut snapshot = mk_snapshot();
    assert_eq!(world.build(&snapshot), []);
    let before = (
        world.cluster("default/one/80"),
        world.cluster("default/two/80"),
        world.paths("meshlite/one"),
    );
    assert_eq!(before.0.counts.next(), 0);
    let group = mesh::group("one", ([10, 0, 0, 9], 80).into());
    put(&mut snapshot, "default/one/one-1", group);
    assert_eq!(world.build(&snapshot), []);
    let after = world.cluster("default/one/80");
    let addresses = after
        .endpoints
        .known()
        .iter()
        .map(|endpoint| endpoint.address);
    assert_eq!(addresses.collect::<Vec<_>>(), [([10, 0, 0, 9], 80).into()]);
    // Whose turn it is goes on from where it was.
    assert_eq!(after.counts.next(), 1);
    assert!(Arc::ptr_eq(&before.1, &world.cluster("default/two/80")));
    assert!(Arc::ptr_eq(&before.2, &world.paths("meshlite/one")));
}

#[test]
fn a_group_that_says_the_same_again_keeps_the_cluster() {
    let mut world = World::new();
    let mut snapshot = mk_snapshot();
    world.build(&snapshot);
    let before = world.cluster("default/one/80");
    let group = mesh::group("one", ([10, 0, 0, 1], 80).into());
    put(&mut snapshot, "default/one/one-2", group);
    world.build(&snapshot);
    assert!(Arc::ptr_eq(&before, &world.cluster("default/one/80")));
}

#[test]
fn a_changed_route_leaves_other_hosts_and_clusters_as_they_are() {
    let mut world = World::new();
    let mut snapshot = mk_snapshot();
    world.build(&snapshot);
    let before = (
        world.cluster("default/one/80"),
        world.paths("meshlite/one"),
        world.paths("meshlite/two"),
    );
    let routes = vec![mesh::route(PathMatch::Exact, "/new", "one")];
    let table = mesh::table(HostMatch::Exact("one".into()), routes);
    put(&mut snapshot, "meshlite/one", table);
    assert_eq!(world.build(&snapshot), []);
    assert!(Arc::ptr_eq(&before.0, &world.cluster("default/one/80")));
    assert!(!Arc::ptr_eq(&before.1, &world.paths("meshlite/one")));
    assert!(Arc::ptr_eq(&before.2, &world.paths("meshlite/two")));
}

#[test]
fn a_cluster_that_comes_after_its_route_is_found_by_it() {
    let mut world = World::new();
    let mut snapshot = mk_snapshot();
    let resource = Arc::clone(snapshot.clusters.get("default/one/80").unwrap());
    let name = Name::new("default/one/80").unwrap();
    snapshot.remove(ResourceType::Cluster, &name);
    assert_eq!(world.build(&snapshot), []);
    let id = world.place("default/one/80");
    assert!(world.builder.built().cluster(id).is_none());
    snapshot.insert(name, Resource::Cluster(resource));
    assert_eq!(world.build(&snapshot), []);
    assert!(world.builder.built().cluster(id).is_some());
}

#[test]
fn two_tables_for_one_host_are_refused_but_the_first() {
    let mut world = World::new();
    let mut snapshot = mk_snapshot();
    let routes = vec![mesh::route(PathMatch::Prefix, "/", "two")];
    let table = mesh::table(HostMatch::Exact("one".into()), routes);
    put(&mut snapshot, "meshlite/z-again", table);
    let rejections = world.build(&snapshot);
    assert!(!rejections.is_empty());
    assert!(
        rejections
            .iter()
            .all(|rejection| rejection.name.as_str() == "meshlite/z-again")
    );
}

#[test]
fn a_host_of_two_certificates_has_the_first_by_name_and_the_other_once_that_is_gone() {
    let (mut world, mut snapshot) = (World::new(), mk_snapshot());
    let host = HostMatch::Exact("one".into());
    let secrets =
        ["default/a", "default/b"].map(|name| (name, mk_secret(std::slice::from_ref(&host))));
    // The later one comes first.
    for (name, secret) in secrets.iter().rev() {
        put(&mut snapshot, name, mesh::secret(secret.clone()));
        assert_eq!(world.build(&snapshot), []);
    }
    let shown = |world: &World| {
        let keys = world.builder.keys.of(&Name::new(HTTPS).unwrap());
        keys.get(&host).map(|key| key.cert[0].to_vec())
    };
    let [(first, a), (_, b)] = &secrets;
    assert_eq!(shown(&world).unwrap(), a.certificate_chain[0]);
    snapshot.remove(ResourceType::TlsSecret, &Name::new(first).unwrap());
    assert_eq!(world.build(&snapshot), []);
    assert_eq!(shown(&world).unwrap(), b.certificate_chain[0]);
}

#[test]
fn a_listener_asks_for_certificates_as_long_as_one_of_its_hosts_wants_them() {
    let (mut world, mut snapshot) = (World::new(), mk_snapshot());
    let asks = |world: &World| {
        world
            .builder
            .hosts
            .asks_certificates(&Name::new(HTTP).unwrap())
    };
    let table = |authorities: Option<&str>| {
        let routes = vec![mesh::route(PathMatch::Prefix, "/", "one")];
        let Resource::RouteTable(table) = mesh::table(HostMatch::Exact("one".into()), routes)
        else {
            unreachable!("it is a table");
        };
        let client_auth = authorities.map(|name| ClientAuth {
            authorities: Name::new(name).unwrap(),
            ..mk_rule(ClientAuthMode::Require)
        });
        Resource::RouteTable(Arc::new(RouteTable {
            client_auth,
            ..RouteTable::clone(&table)
        }))
    };
    for (authorities, expected) in [
        (None, false),
        (Some("default/a"), true),
        (Some("default/b"), true),
        (None, false),
    ] {
        put(&mut snapshot, "meshlite/one", table(authorities));
        assert_eq!(world.build(&snapshot), []);
        assert_eq!(asks(&world), expected, "{authorities:?}");
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
fn met(world: &mut World) -> Vec<String> {
    let mut met = vec![];
    for service in SERVICES {
        let place = world.place(&format!("default/{service}/80"));
        let table = world.builder.built();
        let cluster = table.cluster(place).map(|cluster| {
            let known = cluster.endpoints.known().iter();
            let addresses: Vec<_> = known.map(|endpoint| endpoint.address).collect();
            (addresses, cluster.transport.is_http2)
        });
        let hosts = world.builder.hosts.of(&Name::new(HTTP).unwrap());
        let source = hosts.find_map(service, |paths| Some(paths.source()));
        met.push(format!("{service}: {cluster:?} {source:?}"));
    }
    met
}

proptest! {
    #[test]
    fn after_any_changes_a_table_is_what_a_fresh_builder_makes(
        steps in proptest::collection::vec(step(), 1..30),
    ) {
        let (mut snapshot, mut kept) = (mk_snapshot(), World::new());
        kept.build(&snapshot);
        for step in steps {
            step.act_on(&mut snapshot);
            if step.builds {
                // What is refused goes, as where it is installed.
                for refused in kept.build(&snapshot) {
                    snapshot.remove(refused.kind, &refused.name);
                }
                prop_assert_eq!(kept.build(&snapshot), []);
                let mut fresh = World::new();
                prop_assert_eq!(fresh.build(&snapshot), []);
                prop_assert_eq!(met(&mut kept), met(&mut fresh));
            }
        }
    }
}
