//! What policies do to requests, over real sockets.

mod access;
mod answers;
mod authentication;
mod limits;

use std::{net::SocketAddr, sync::Arc};

use http::Request;
use meshlite_snapshot::{
    Credential, HostMatch, Htpasswd, Name, PathMatch, Policy, Resource, Route, WeightedCluster,
};

use super::{
    mesh::{Mesh, route},
    origin::{Answer, Client, Origin, full},
};

/// A mesh that serves one origin under a policy.
pub(super) async fn under(policy: Policy) -> (Mesh, Origin) {
    let mut mesh = Mesh::with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let origin = Origin::echo("web").await;
    mesh.put_service("web", &[origin.address]);
    put(&mut mesh, policy).await;
    (mesh, origin)
}

/// Puts a policy on the only route.
pub(super) async fn put(mesh: &mut Mesh, policy: Policy) {
    let route = Route {
        policy: Some(Arc::new(policy)),
        ..route(PathMatch::Prefix, "/", "web")
    };
    mesh.put_table(HostMatch::Any, vec![route]);
    assert_eq!(mesh.apply().await, []);
}

/// The users `anna:password` and `bert:secret`.
pub(super) fn put_users(mesh: &mut Mesh) {
    let users = b"anna:$apr1$rOioh4Wh$OV5b2gZTOaWnk3SsAEpM21\n\
        bert:$2b$04$Lyvn8MUD1Ef6HYyt/tqR4Ov1U/isbgIEUF6cKpfjdY/HT7I0cDgtC\n";
    let credential = Credential {
        htpasswd: Some(Htpasswd(users.as_slice().into())),
        ..Credential::default()
    };
    mesh.put("default/users", Resource::Credential(Arc::new(credential)));
}

pub(super) fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

pub(super) fn to(service: &str) -> Vec<WeightedCluster> {
    vec![WeightedCluster {
        cluster: name(&format!("default/{service}/80")),
        weight: 1,
    }]
}

/// One request with these headers on a connection of its own.
pub(super) async fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "h");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(full("")).unwrap();
    let response = Client::connect(address).await.send(request).await.unwrap();
    Answer::read(response).await
}

pub(super) async fn get(address: SocketAddr, headers: &[(&str, &str)]) -> Answer {
    ask(address, "GET", "/a?b=c", headers).await
}
