//! Ten thousand routes change, endpoints roll and certificates rotate under load, and nobody notices.

mod load;
mod pods;

use std::{sync::Arc, time::Duration};

use meshlite_snapshot::{
    HostMatch, PathMatch, Resource, ResourceType, Route, RouteTimeouts, UpstreamProtocol,
};

use self::{
    load::Load,
    pods::{Deployment, State},
};
use super::{
    mesh::{Mesh, cluster, group, route, secret},
    tls::mk_secret,
    upgrade,
};

/// Host names, each with [`PATHS`] routes.
pub(super) const HOSTS: usize = 500;
pub(super) const PATHS: usize = 20;
/// Rounds in which every route changes once.
const CYCLE: usize = 5;

pub(super) fn host(number: usize) -> String {
    format!("h{}.example.com", number % HOSTS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_fails_and_no_stream_ends_while_every_route_endpoint_and_certificate_changes() {
    let mut mesh = Mesh::with(|config| config.drain_timeout = Duration::from_mins(1)).await;
    let mut web = Deployment::start("web").await;
    let mut rpc = Deployment::start("rpc").await;
    let chat = upgrade::websocket_origin().await;
    mesh.put_service("chat", &[chat.address]);
    mesh.put("default/web/80", cluster("web", UpstreamProtocol::Http1));
    mesh.put("default/rpc/80", cluster("rpc", UpstreamProtocol::H2c));
    for number in 0..HOSTS {
        put_routes(&mut mesh, number, 0);
    }
    put_endpoints(&mut mesh, &web);
    put_endpoints(&mut mesh, &rpc);
    rotate(&mut mesh, 0);
    assert_eq!(mesh.apply().await, []);
    let mut load = Load::start(mesh.http(), mesh.https());
    load.goes_on().await;
    let is_soak = std::env::var_os("MESHLITE_SOAK").is_some();
    let cycles = if is_soak { 60 } else { 3 };
    for round in 1..=cycles * CYCLE {
        for number in (round % CYCLE..HOSTS).step_by(CYCLE) {
            put_routes(&mut mesh, number, round);
        }
        // What terminates gets no new requests; what got none has time to end, and only then is gone.
        web.roll().await;
        rpc.roll().await;
        put_endpoints(&mut mesh, &web);
        put_endpoints(&mut mesh, &rpc);
        rotate(&mut mesh, round);
        assert_eq!(mesh.apply().await, []);
        load.goes_on().await;
        web.stop_terminating();
        rpc.stop_terminating();
        load.goes_on().await;
    }
    load.finish().await;
}

/// Routes of a host, as they are from one round to the next: other backends' shares, timeouts and paths besides.
fn put_routes(mesh: &mut Mesh, number: usize, round: usize) {
    let path = |path: &str, service: &str| Route {
        timeouts: RouteTimeouts {
            response_ms: Some(60_000 + u32::try_from(round).unwrap()),
            ..RouteTimeouts::default()
        },
        ..route(PathMatch::Prefix, path, service)
    };
    let mut routes = vec![path("/chat", "chat"), path("/rpc", "rpc")];
    let only_now = format!("/round-{round}");
    routes.push(path(&only_now, "web"));
    let others = (routes.len()..PATHS).map(|index| path(&format!("/p{index}"), "web"));
    routes.extend(others);
    for (route, rank) in routes.iter_mut().zip(0..) {
        route.rank = rank;
    }
    mesh.put_table(HostMatch::Exact(host(number)), routes);
}

fn put_endpoints(mesh: &mut Mesh, deployment: &Deployment) {
    let service = deployment.service;
    let old = mesh.snapshot.endpoint_groups_of("default", service);
    let old: Vec<_> = old.map(|(name, _)| name.to_string()).collect();
    for name in old {
        mesh.remove(ResourceType::EndpointGroup, &name);
    }
    for (address, state) in deployment.endpoints() {
        let mut group = group(service, address);
        if let Resource::EndpointGroup(group) = &mut group {
            for endpoint in &mut Arc::make_mut(group).endpoints {
                endpoint.ready = state == State::Ready;
                endpoint.terminating = state == State::Terminating;
            }
        }
        mesh.put(&format!("default/{service}/{}", address.port()), group);
    }
}

/// A new certificate for every host.
fn rotate(mesh: &mut Mesh, round: usize) {
    let hosts = [HostMatch::OneLabel("example.com".into())];
    mesh.put("default/tls", secret(mk_secret(&hosts)));
    if round.is_multiple_of(3) {
        mesh.put(
            "default/extra",
            secret(mk_secret(&[HostMatch::Exact(host(round))])),
        );
    }
}
