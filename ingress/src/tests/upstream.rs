//! The side towards endpoints, over real sockets.

mod balancing;
mod copies;
mod retries;
mod secure;

use std::sync::Arc;

use meshlite_snapshot::{Cluster, HostMatch, LoadBalancing, PathMatch, Policy, Resource, Route};

use super::mesh::{Mesh, route};

/// The cluster `default/web/80`, but for what `change` changes, and a route to it.
async fn put_cluster(mesh: &mut Mesh, change: impl FnOnce(&mut Cluster)) {
    let mut cluster = Cluster {
        namespace: "default".into(),
        service: "web".into(),
        port: Some(80),
        port_name: "http".into(),
        load_balancing: LoadBalancing::LeastRequest,
        ..Cluster::default()
    };
    change(&mut cluster);
    mesh.put("default/web/80", Resource::Cluster(Arc::new(cluster)));
    put_route(mesh, |_| {}).await;
}

/// The only route, to `default/web/80`, but for what `change` changes.
async fn put_route(mesh: &mut Mesh, change: impl FnOnce(&mut Route)) {
    let mut only = route(PathMatch::Prefix, "/", "web");
    change(&mut only);
    mesh.put_table(HostMatch::Any, vec![only]);
    assert_eq!(mesh.apply().await, []);
}

/// A policy of which only the retries are said.
fn retrying(retry: meshlite_snapshot::Retry) -> Arc<Policy> {
    Arc::new(Policy {
        retry: Some(retry),
        ..Policy::default()
    })
}
