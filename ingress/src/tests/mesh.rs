//! An ingress that is fed snapshots directly, and builders for what is in them.

use std::{
    collections::BTreeSet,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use meshlite_proto::subscribe::Change;
use meshlite_snapshot::{
    AddressFamily, Cluster, Endpoint, EndpointGroup, EndpointPort, HostMatch, Listener,
    ListenerProtocol, LoadBalancing, Name, ObjectRef, PathMatch, Protocol, Resource, ResourceType,
    Route, RoutePath, RouteTable, RouteTimeouts, Snapshot, TlsPolicy, TlsSecret, Topic,
    UpstreamProtocol, WeightedCluster,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    ingress::{Parts, start},
    install::Offer,
    listen::Drained,
    table::Rejection,
};

pub(crate) const HTTP: &str = "meshlite/http";
pub(crate) const HTTPS: &str = "meshlite/https";

/// An ingress with one HTTP and one HTTPS listener, and the snapshot that it serves.
#[derive(Debug)]
pub(super) struct Mesh {
    pub(super) parts: Parts,
    pub(super) snapshot: Snapshot,
    installed: Snapshot,
    generation: u64,
    stop: CancellationToken,
}

/// What a commit is to the installer.
struct TestOffer {
    before: Snapshot,
    snapshot: Snapshot,
    changes: Vec<Change>,
    generation: u64,
    rejections: Vec<Rejection>,
}

impl Offer for TestOffer {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn changes(&self) -> &[Change] {
        &self.changes
    }

    fn reject(&mut self, rejection: Rejection) {
        let Rejection { kind, name, .. } = &rejection;
        match self.before.get(*kind, name) {
            Some(good) => self.snapshot.insert(name.clone(), good),
            None => self.snapshot.remove(*kind, name),
        }
        self.rejections.push(rejection);
    }
}

/// What differs between two snapshots.
pub(crate) fn changes(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let names = |of: &Snapshot| -> BTreeSet<_> {
        let all = of
            .iter()
            .map(|(name, resource)| (resource.kind(), name.clone()));
        all.collect()
    };
    let (old, new) = (names(before), names(after));
    let differs =
        |(kind, name): &&(ResourceType, Name)| before.get(*kind, name) != after.get(*kind, name);
    let change = |(kind, name): &(ResourceType, Name)| Change {
        topic: Topic::all(*kind),
        name: name.clone(),
        removed: !new.contains(&(*kind, name.clone())),
    };
    old.union(&new).filter(differs).map(change).collect()
}

impl Mesh {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::logging_to(Box::new(std::io::sink()), change).await
    }

    /// One whose access log goes to `output`.
    pub(super) async fn logging_to(
        output: Box<dyn std::io::Write + Send>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config {
            address: Ipv4Addr::LOCALHOST.into(),
            workers: NonZeroUsize::new(2),
            drain_timeout: Duration::from_secs(5),
            ..Config::default()
        };
        change(&mut config);
        let stop = CancellationToken::new();
        let parts = start(config, output, &stop).unwrap();
        let mut mesh = Self {
            parts,
            snapshot: Snapshot::default(),
            installed: Snapshot::default(),
            generation: 0,
            stop,
        };
        mesh.put(HTTP, listener(0, ListenerProtocol::Http));
        mesh.put(HTTPS, listener(0, ListenerProtocol::Https));
        mesh.apply().await;
        mesh
    }

    /// Puts a resource in; [`Mesh::apply`] makes it count.
    pub(super) fn put(&mut self, name: &str, resource: Resource) {
        self.snapshot.insert(Name::new(name).unwrap(), resource);
    }

    pub(super) fn remove(&mut self, kind: ResourceType, name: &str) {
        self.snapshot.remove(kind, &Name::new(name).unwrap());
    }

    /// Installs the snapshot and gives back what was rejected of it.
    pub(super) async fn apply(&mut self) -> Vec<Rejection> {
        self.generation += 1;
        let mut offer = TestOffer {
            before: self.installed.clone(),
            snapshot: self.snapshot.clone(),
            changes: changes(&self.installed, &self.snapshot),
            generation: self.generation,
            rejections: vec![],
        };
        self.parts.installer.install(&mut offer).await;
        self.snapshot = offer.snapshot;
        self.installed = self.snapshot.clone();
        offer.rejections
    }

    /// A Service with these endpoints as `default/NAME/80`, without applying it.
    pub(super) fn put_service(&mut self, service: &str, endpoints: &[SocketAddr]) {
        self.put(
            &format!("default/{service}/80"),
            cluster(service, UpstreamProtocol::Http1),
        );
        self.put_endpoints(service, endpoints);
    }

    /// One EndpointGroup for each endpoint, because their ports differ.
    pub(super) fn put_endpoints(&mut self, service: &str, endpoints: &[SocketAddr]) {
        let old = self.snapshot.endpoint_groups_of("default", service);
        let old: Vec<_> = old.map(|(name, _)| name.to_string()).collect();
        for name in old {
            self.remove(ResourceType::EndpointGroup, &name);
        }
        for (index, endpoint) in endpoints.iter().enumerate() {
            let name = format!("default/{service}/{service}-{index}");
            self.put(&name, group(service, *endpoint));
        }
    }

    /// Routes of a host, from (path kind, path, service), without applying them.
    pub(super) fn put_routes(&mut self, host: HostMatch, routes: &[(PathMatch, &str, &str)]) {
        let routes = routes.iter().enumerate();
        let routes = routes.map(|(rank, (kind, path, service))| Route {
            rank: u32::try_from(rank).unwrap(),
            ..route(*kind, path, service)
        });
        self.put_table(host, routes.collect());
    }

    pub(super) fn put_table(&mut self, host: HostMatch, routes: Vec<Route>) {
        let name = format!("meshlite/{host}");
        self.put(&name, table(host, routes));
    }

    /// Routes every request to one Service with these endpoints.
    pub(super) async fn serve(&mut self, endpoints: &[SocketAddr]) {
        self.put_service("web", endpoints);
        self.put_routes(HostMatch::Any, &[(PathMatch::Prefix, "/", "web")]);
        assert_eq!(self.apply().await, []);
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.address(HTTP)
    }

    pub(super) fn https(&self) -> SocketAddr {
        self.address(HTTPS)
    }

    pub(super) fn address(&self, listener: &str) -> SocketAddr {
        self.parts.bound.borrow()[listener]
    }

    /// Begins to drain.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until every worker has ended, and says how many tasks were cut off.
    pub(super) async fn drained(mut self) -> usize {
        let mut cut_off = 0;
        for worker in self.parts.workers.drain(..) {
            let Drained { cut_off: of_one } = worker.drained.await.unwrap();
            cut_off += of_one;
        }
        cut_off
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn listener(proxy_port: u16, protocol: ListenerProtocol) -> Resource {
    let is_tls = protocol == ListenerProtocol::Https;
    Resource::Listener(Arc::new(Listener {
        addresses: vec![],
        port: if is_tls { 443 } else { 80 },
        proxy_port,
        protocol,
        tls: is_tls.then(TlsPolicy::default),
    }))
}

pub(crate) fn cluster(service: &str, protocol: UpstreamProtocol) -> Resource {
    Resource::Cluster(Arc::new(Cluster {
        namespace: "default".into(),
        service: service.into(),
        port: Some(80),
        port_name: "http".into(),
        protocol,
        load_balancing: LoadBalancing::RoundRobin,
        ..Cluster::default()
    }))
}

pub(crate) fn group(service: &str, endpoint: SocketAddr) -> Resource {
    Resource::EndpointGroup(Arc::new(EndpointGroup {
        namespace: "default".into(),
        service: service.into(),
        slice: format!("{service}-{}", endpoint.port()),
        address_family: AddressFamily::Ipv4,
        ports: vec![EndpointPort {
            name: "http".into(),
            protocol: Protocol::Tcp,
            port: Some(endpoint.port()),
            app_protocol: None,
        }],
        endpoints: vec![Endpoint {
            address: endpoint.ip(),
            ready: true,
            serving: true,
            terminating: false,
            node: None,
            zone: None,
            hostname: None,
            target: None,
            hint_zones: vec![],
            hint_nodes: vec![],
        }],
    }))
}

pub(crate) fn route(kind: PathMatch, path: &str, service: &str) -> Route {
    Route {
        owner: ObjectRef::new("Ingress", "default", "test"),
        rank: 0,
        fallback: false,
        path: RoutePath {
            kind,
            value: path.into(),
        },
        method: None,
        headers: vec![],
        query: vec![],
        filters: vec![],
        backends: vec![WeightedCluster {
            cluster: Name::part("default", service, 80).unwrap(),
            weight: 1,
        }],
        timeouts: RouteTimeouts::default(),
        policy: None,
    }
}

pub(crate) fn table(host: HostMatch, routes: Vec<Route>) -> Resource {
    Resource::RouteTable(Arc::new(RouteTable {
        listeners: vec![Name::new(HTTP).unwrap(), Name::new(HTTPS).unwrap()],
        host,
        routes,
        client_auth: None,
    }))
}

pub(crate) fn secret(secret: TlsSecret) -> Resource {
    Resource::TlsSecret(Arc::new(secret))
}

/// Waits for a condition; at the deadline panics with what it last was.
pub(super) async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(nearest) if tokio::time::Instant::now() > deadline => {
                panic!("{what} did not happen; last: {nearest}");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
