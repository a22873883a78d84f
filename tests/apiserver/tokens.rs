//! Who is let in, who is not and is told why, and what becomes of those whose time is over.

use std::time::Duration;

use meshlite_proto::{
    connect::{Security, connect},
    v1::{self, discovery_response::Kind, snapshot_discovery_client::SnapshotDiscoveryClient},
};
use meshlite_snapshot::{ResourceType, Topic};
use meshlite_tests::{
    apiserver::{self, ApiServer, Options, claims, eventually, eventually_after},
    replica::Replica,
};
use serde_json::json;
use tonic::{Code, Status};

use crate::support::{
    AUDIENCE, Asked, Cluster, Follower, Identity, Stream, certificate, http_text, objects, start,
};

/// A control plane with TLS and tokens.
async fn secure(api: &ApiServer, cluster: &Cluster) -> Replica {
    let mut config = cluster.config(api, "replica-1").await;
    config.secure = true;
    start(config)
}

/// A node that may follow the control plane, once it does. Its name is the namespace's.
async fn welcome(api: &ApiServer, cluster: &Cluster, replica: &Replica) -> (Identity, Follower) {
    let node = &cluster.namespace;
    let identity = cluster.identity(api, "meshlite-node", node).await;
    let follower = Follower::new(identity.node(&replica.url(), node), None);
    follower.has(ResourceType::Namespace, node, true).await;
    (identity, follower)
}

/// What a stream is refused with.
async fn refused(
    replica: &Replica,
    security: &Security,
    (role, node, topics): (v1::Role, &str, &[Topic]),
) -> Status {
    let opened = Stream::open(&replica.url(), security, role, node, topics).await;
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(status) => return status,
    };
    loop {
        match stream.next().await {
            Err(status) => return status,
            Ok(Some(Kind::Heartbeat(_))) => {}
            Ok(other) => panic!("not refused: {other:?}"),
        }
    }
}

/// How many calls were refused for a reason.
async fn counted(replica: &Replica, reason: &str) -> u64 {
    let metrics = http_text(replica.admin().unwrap(), "/metrics").await;
    let wanted = format!("meshlite_control_plane_refused_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&wanted));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_is_refused_with_a_reason_and_counted() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "refused").await;
    let replica = secure(api, &cluster).await;
    let (node, _follower) = welcome(api, &cluster, &replica).await;
    let name = cluster.namespace.as_str();
    let as_node = (v1::Role::L4Node, name, &Topic::NODE[..]);

    let mut past = claims(&node.token).unwrap();
    past["exp"] = json!(past["iat"].as_i64().unwrap() - 3600);
    let expired = api.sign_token(&node.token, &past).unwrap();
    let elsewhere = cluster
        .pod_token(api, "meshlite-node", name, "somebody.example")
        .await;
    let stranger = cluster.pod_token(api, "default", name, AUDIENCE).await;

    let ingress = (v1::Role::Ingress, name, &Topic::INGRESS[..]);
    let secrets = (
        v1::Role::L4Node,
        name,
        &[Topic::all(ResourceType::TlsSecret)][..],
    );
    let another = (v1::Role::L4Node, "another", &Topic::NODE[..]);
    let (denied, unknown) = (Code::PermissionDenied, Code::Unauthenticated);
    for (security, hello, reason, code, says) in [
        (node.security(), ingress, "role", denied, "INGRESS"),
        (node.security(), secrets, "role", denied, "TlsSecret"),
        (node.security(), another, "node", denied, name),
        (
            node.with(&stranger).security(),
            as_node,
            "role",
            denied,
            "may do nothing here",
        ),
        (
            node.with(&expired).security(),
            as_node,
            "expired",
            unknown,
            "expired since",
        ),
        (
            node.with(&elsewhere).security(),
            as_node,
            "audience",
            unknown,
            "somebody.example",
        ),
        (
            node.with("nonsense").security(),
            as_node,
            "bad_token",
            unknown,
            "bad token",
        ),
        (
            node.anonymous(),
            as_node,
            "no_credentials",
            unknown,
            "no credentials",
        ),
    ] {
        let before = counted(&replica, reason).await;
        let status = refused(&replica, &security, hello).await;
        assert_eq!(status.code(), code, "{reason}: {status}");
        assert!(status.message().contains(says), "{reason}: {status}");
        assert_eq!(counted(&replica, reason).await, before + 1, "{reason}");
    }
    // The log is for everybody who may read logs.
    let logged = replica.logged();
    for token in [&node.token, &expired, &elsewhere, &stranger] {
        assert!(!logged.contains(token.as_str()), "{logged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_tls_is_told_that_it_needs_it() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "plaintext").await;
    let replica = secure(api, &cluster).await;
    let url = format!("http://{}", replica.grpc());
    let follower = Follower::node("n1", &[url]);
    eventually("the client says what to do", async || {
        let status = follower.status();
        match &status.last_error {
            Some(error) if error.contains("https://") => Ok(()),
            _ => Err(format!("{status:?}")),
        }
    })
    .await;
    let refused = counted(&replica, "plaintext").await;
    assert!(refused > 0, "it is counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_for_readers_and_private_keys_are_for_ingresses() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "rights").await;
    let ns = cluster.namespace.as_str();
    let replica = secure(api, &cluster).await;
    let manifest = certificate::manifest("web-tls", "a.example.com").replace("NAMESPACE", ns);
    api.apply(&manifest).await.unwrap();
    cluster
        .create("services", &objects::service("web", 80))
        .await;
    let mut ingress = objects::ingress("web", ns, "a.example.com", "web");
    ingress["spec"]["tls"] = json!([{"hosts": ["a.example.com"], "secretName": "web-tls"}]);
    cluster.create("ingresses", &ingress).await;

    let (node, _follower) = welcome(api, &cluster, &replica).await;
    let reader = cluster.identity(api, "meshlite-reader", ns).await;
    let ingress = cluster.identity(api, "meshlite-ingress", ns).await;
    let asked = |identity: &Identity| Asked::new(&replica.url(), identity.security());
    for identity in [&node, &ingress] {
        let status = asked(identity).server().await.unwrap_err();
        assert!(status.contains("permission"), "{status}");
    }
    asked(&reader).server().await.unwrap();
    let secret = format!("{ns}/web-tls");
    for (identity, has_keys) in [(&reader, false), (&ingress, true)] {
        eventually("the certificate is served", async || {
            let found = fetch_secret(&replica, identity, &secret).await?;
            match found.private_key.is_empty() {
                empty if empty != has_keys => Ok(()),
                _ => Err("its private key is not as it should be".to_owned()),
            }
        })
        .await;
    }
    let status = fetch_secret(&replica, &node, &secret).await.unwrap_err();
    assert!(status.contains("permission"), "{status}");
}

/// A TlsSecret as FetchSnapshot gives it.
async fn fetch_secret(
    replica: &Replica,
    identity: &Identity,
    name: &str,
) -> Result<v1::TlsSecret, String> {
    let connected = connect(&replica.url(), &identity.security()).await;
    let mut client = SnapshotDiscoveryClient::new(connected.map_err(|error| error.to_string())?);
    let asked = client.fetch_snapshot(v1::FetchSnapshotRequest::default());
    let mut stream = asked.await.map_err(|s| s.to_string())?.into_inner();
    while let Some(message) = stream.message().await.map_err(|s| s.to_string())? {
        if let Some(v1::fetch_snapshot_response::Kind::Resource(resource)) = message.kind
            && resource.name == name
            && let Some(v1::resource::Body::TlsSecret(secret)) = resource.body
        {
            return Ok(secret);
        }
    }
    Err("it is not served".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_a_drain_when_its_token_ends_and_goes_on_with_the_next_token() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "expires").await;
    let ns = cluster.namespace.as_str();
    let replica = secure(api, &cluster).await;
    let (long, _follower) = welcome(api, &cluster, &replica).await;
    // As a kubelet gave it out ten minutes ago.
    let mut ending = claims(&long.token).unwrap();
    let now = ending["iat"].as_i64().unwrap();
    ending["exp"] = json!(now + 20);
    let short = long.with(&api.sign_token(&long.token, &ending).unwrap());

    let role = v1::Role::L4Node;
    let (url, security) = (replica.url(), short.security());
    let stream = Stream::open(&url, &security, role, ns, &Topic::NODE).await;
    let mut stream = stream.unwrap();
    let mut renewed = long.with(&short.token);
    let follower = Follower::new(renewed.node(&replica.url(), ns), None);
    follower.has(ResourceType::Namespace, ns, true).await;
    renewed.renew(&long.token);

    let drained = tokio::time::timeout(Duration::from_mins(1), async {
        loop {
            match stream.next().await {
                Ok(Some(Kind::Drain(drain))) => return drain,
                Ok(Some(_)) => {}
                ended => panic!("it ended without a Drain: {ended:?}"),
            }
        }
    });
    let drain = drained.await.expect("it is drained in time");
    assert!(
        drain.reason.contains("token") || drain.reason.contains("credential"),
        "{drain:?}"
    );
    // The other one has been drained too, and came back with the token that is in its file now.
    cluster
        .create("services", &objects::service("afterwards", 80))
        .await;
    let afterwards = format!("{ns}/afterwards");
    follower.has(ResourceType::Service, &afterwards, true).await;
    assert!(follower.noted().removals.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_restarts_and_connects_again_while_the_api_server_is_gone() {
    let Some(mut api) = apiserver::own(Options::default()).await else {
        return;
    };
    let cluster = Cluster::new(&api, "restarts").await;
    let replica = secure(&api, &cluster).await;
    cluster
        .create("services", &objects::service("web", 80))
        .await;
    let web = format!("{}/web", cluster.namespace);
    let (identity, follower) = welcome(&api, &cluster, &replica).await;
    follower.has(ResourceType::Service, &web, true).await;
    let fresh = cluster
        .pod_token(&api, "meshlite-node", &cluster.namespace, AUDIENCE)
        .await;

    api.stop_api_server();
    drop(follower);
    // With the token that the control plane has seen, and with one that it has not.
    for identity in [&identity, &identity.with(&fresh)] {
        let config = identity.node(&replica.url(), &cluster.namespace);
        let follower = Follower::new(config, None);
        follower.has(ResourceType::Service, &web, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_pod_that_was_deleted_is_refused() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let cluster = Cluster::new(api, "revoked").await;
    let ns = cluster.namespace.as_str();
    let replica = secure(api, &cluster).await;
    let (identity, follower) = welcome(api, &cluster, &replica).await;
    drop(follower);
    api.delete_pod(ns, "meshlite-node", 0).await.unwrap();
    // What a review said of it counts for a minute.
    eventually_after(
        Duration::from_mins(1),
        "it is refused as revoked",
        async || {
            let role = v1::Role::L4Node;
            let (url, security) = (replica.url(), identity.security());
            match Stream::open(&url, &security, role, ns, &Topic::NODE).await {
                Err(status) if status.message().contains("revoked") => Ok(()),
                Err(status) => Err(status.to_string()),
                Ok(_) => Err("it is let in".to_owned()),
            }
        },
    )
    .await;
}
