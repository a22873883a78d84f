//! TLS on real sockets: who is let in, with what, and what the others are told.

mod limits;
mod rotation;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use meshlite_proto::{
    connect::{self, Ca, Connected, Credentials, Tls, connect},
    v1::{
        self, snapshot_discovery_client::SnapshotDiscoveryClient,
        snapshot_status_client::SnapshotStatusClient,
    },
};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
};
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::super::source::Origin;
use super::{
    support::{Plane, Running, mk_config, mk_folder, service},
    *,
};
use crate::{
    Config, Security, ServerCertificate, TlsConfig,
    auth::testing::{FakeApi, Signer, mk_claims, mk_token_config},
    clock,
    testing::{Server, mk_hello, mk_namespaces},
};

/// A CA for client certificates.
struct ClientCa {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl ClientCa {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn sign(&self, name: &str, organisation: &str) -> Credentials {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = (clock::wall() + Duration::from_hours(1)).into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |kind| self.folder.path().join(format!("{name}.{kind}"));
        fs::write(path("crt"), certificate.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        Credentials::Certificate {
            certificate: path("crt"),
            key: path("key"),
        }
    }
}

fn own_tls(client_ca: Option<PathBuf>) -> TlsConfig {
    TlsConfig {
        certificate: ServerCertificate::SelfManaged { names: Vec::new() },
        client_ca,
        tokens: None,
    }
}

/// A control plane on a folder, with TLS and client certificates.
async fn start(client_ca: &ClientCa, state: &Path) -> (Running, TempDir) {
    let folder = mk_folder(&[("a.yaml", &service("a", 80))]);
    let config = Config {
        security: Security::Tls(own_tls(Some(client_ca.path()))),
        ..mk_config(folder.path(), Some(state))
    };
    (Running::start(config).await, folder)
}

async fn dial(addr: SocketAddr, ca: &Path, credentials: Credentials) -> Connected {
    let tls = Tls::new(Ca::File(ca.to_owned()), credentials);
    let security = connect::Security::Tls(tls);
    connect(&format!("https://{addr}"), &security)
        .await
        .unwrap()
}

/// What asking for the status answers, once the server has something to say.
async fn status(connected: &Connected) -> Result<v1::ServerStatus, Status> {
    let mut client = SnapshotStatusClient::new(connected.clone());
    loop {
        let answer = client
            .get_server_status(v1::GetServerStatusRequest {})
            .await;
        match answer {
            Err(status) if status.code() == Code::Unavailable => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            answer => return answer.map(tonic::Response::into_inner),
        }
    }
}

/// A stream that the server has said something on. It ends where this is dropped.
#[derive(Debug)]
struct Opened {
    _requests: tokio::sync::mpsc::Sender<v1::DiscoveryRequest>,
    answers: tonic::Streaming<v1::DiscoveryResponse>,
}

/// Opens a stream of this role on this node.
async fn open(connected: &Connected, role: v1::Role, node: &str) -> Result<Opened, Status> {
    let mut hello = mk_hello(role, &Topic::NODE);
    hello.client.as_mut().unwrap().node_name = node.to_owned();
    let request = v1::DiscoveryRequest {
        kind: Some(v1::discovery_request::Kind::Hello(hello)),
    };
    let mut client = SnapshotDiscoveryClient::new(connected.clone());
    let (requests, outgoing) = tokio::sync::mpsc::channel(1);
    requests.send(request).await.unwrap();
    let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
    let mut answers = client.stream_snapshots(outgoing).await?.into_inner();
    answers.message().await?.expect("the server says something");
    Ok(Opened {
        _requests: requests,
        answers,
    })
}

/// How the server answers a stream of this role on this node.
async fn subscribe(connected: &Connected, role: v1::Role, node: &str) -> Result<(), Status> {
    open(connected, role, node).await.map(drop)
}

#[tokio::test]
async fn client_certificates_give_what_their_organisation_says() {
    let ca = ClientCa::new();
    let state = tempfile::tempdir().unwrap();
    let (running, _folder) = start(&ca, state.path()).await;
    let trusted = state.path().join("ca.crt");
    let reader = dial(running.grpc, &trusted, ca.sign("alice", "meshlite:reader"));
    status(&reader.await).await.unwrap();
    let node = dial(running.grpc, &trusted, ca.sign("node-a", "meshlite:node")).await;
    subscribe(&node, v1::Role::L4Node, "node-a").await.unwrap();
    for (role, name) in [(v1::Role::L4Node, "node-b"), (v1::Role::Ingress, "node-a")] {
        let refused = subscribe(&node, role, name).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    let refused = status(&node).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let stranger = dial(running.grpc, &trusted, ca.sign("bob", "another"));
    let refused = status(&stranger.await).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("bob"), "{refused}");
    running.stop().await;
}

#[tokio::test]
async fn who_has_no_credentials_is_refused_but_health_is_for_everybody() {
    let ca = ClientCa::new();
    let state = tempfile::tempdir().unwrap();
    let (running, _folder) = start(&ca, state.path()).await;
    let trusted = state.path().join("ca.crt");
    let nobody = dial(running.grpc, &trusted, Credentials::None).await;
    let refused = status(&nobody).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("no credentials"), "{refused}");
    let mut health = HealthClient::new(nobody);
    health.check(HealthCheckRequest::default()).await.unwrap();
    // Without TLS at all: a clear answer, and no health either.
    let refused = status_client(running.grpc).await;
    let refused = { refused }
        .get_server_status(v1::GetServerStatusRequest {})
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("speaks TLS"), "{refused}");
    let metrics = running.get("/metrics").await;
    for reason in ["no_credentials", "plaintext"] {
        let counted = format!("meshlite_control_plane_refused_total{{reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&counted), "no {counted} in {metrics}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_the_ca_that_clients_trust() {
    let ca = ClientCa::new();
    let state = tempfile::tempdir().unwrap();
    let trusted = state.path().join("ca.crt");
    let (running, _folder) = start(&ca, state.path()).await;
    let before = fs::read(&trusted).unwrap();
    running.stop().await;
    let (running, _folder) = start(&ca, state.path()).await;
    assert_eq!(fs::read(&trusted).unwrap(), before);
    let reader = dial(running.grpc, &trusted, ca.sign("r", "meshlite:reader"));
    status(&reader.await).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn tls_that_nobody_could_use_does_not_start() {
    let folder = mk_folder(&[]);
    for (tls, expected) in [
        (own_tls(None), "nobody could connect"),
        (
            own_tls(Some("/nowhere/ca.pem".into())),
            "TLS: /nowhere/ca.pem: ",
        ),
        (
            TlsConfig {
                tokens: Some(mk_token_config()),
                ..own_tls(None)
            },
            "tokens are verified by an API server's keys",
        ),
    ] {
        let config = Config {
            security: Security::Tls(tls),
            ..mk_config(folder.path(), None)
        };
        let error = ControlPlane::bind(config).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

/// A server with tokens, and the API server that issues them.
struct Issued {
    signer: Signer,
    api: FakeApi,
    server: Server,
    folder: TempDir,
}

impl Issued {
    async fn start() -> Self {
        let signer = Signer::new("one");
        let api = FakeApi::start(&signer).await;
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        let origin = Origin::Files {
            manifests: PathBuf::new(),
            state_dir: Some(state),
            admit: Box::default(),
            pods: None,
        };
        let tls = TlsConfig {
            tokens: Some(mk_token_config()),
            ..own_tls(None)
        };
        let client = Some(api.client.clone());
        let made = Gate::with(tls, client, origin.ca(), Arc::default()).await;
        let (gate, upkeep) = made.unwrap();
        let mut server =
            Server::start_behind(gate, |own, _| crate::peers::Peers::none(own, "replica-1")).await;
        let stop = server.stop.clone();
        tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            upkeep.start(&Readiness::default(), &mut tasks, &stop);
            while tasks.join_next().await.is_some() {}
        });
        server.publish(&mk_namespaces(&["default"]));
        Self {
            signer,
            api,
            server,
            folder,
        }
    }

    async fn with(&self, token: &str) -> Connected {
        let path = self.folder.path().join("token");
        fs::write(&path, token).unwrap();
        let trusted = self.folder.path().join("state/ca.crt");
        dial(self.server.addr, &trusted, Credentials::TokenFile(path)).await
    }

    fn token(&self, account: &str) -> String {
        let claims = mk_claims(account, "node-a", clock::wall());
        self.signer.sign(&claims)
    }
}

#[tokio::test]
async fn a_nodes_token_is_for_that_node_only_and_gives_no_ingress() {
    let issued = Issued::start().await;
    let node = issued.with(&issued.token("meshlite-node")).await;
    subscribe(&node, v1::Role::L4Node, "node-a").await.unwrap();
    for (role, name) in [(v1::Role::L4Node, "node-b"), (v1::Role::Ingress, "node-a")] {
        let refused = subscribe(&node, role, name).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    let reader = issued.with(&issued.token("meshlite-reader")).await;
    status(&reader).await.unwrap();
    issued.server.stop.cancel();
}

#[tokio::test]
async fn expired_and_foreign_tokens_are_refused_with_the_reason() {
    let issued = Issued::start().await;
    let hour_ago = clock::wall() - Duration::from_hours(2);
    let expired = mk_claims("meshlite-reader", "node-a", hour_ago);
    let mut foreign = mk_claims("meshlite-reader", "node-a", clock::wall());
    foreign["aud"] = "vault".into();
    for (claims, expected) in [
        (expired, "the token is expired since "),
        (
            foreign,
            "the token's audience is \"vault\", it needs \"meshlite\"",
        ),
    ] {
        let connected = issued.with(&issued.signer.sign(&claims)).await;
        let refused = status(&connected).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().starts_with(expected), "{refused}");
    }
    issued.server.stop.cancel();
}

#[tokio::test]
async fn a_node_that_restarts_comes_back_with_the_api_server_gone() {
    let mut issued = Issued::start().await;
    let first = issued.with(&issued.token("meshlite-node")).await;
    subscribe(&first, v1::Role::L4Node, "node-a").await.unwrap();
    assert_eq!(issued.api.state.reviews.load(Ordering::Relaxed), 1);
    issued.api.stop().await;
    // Its Pod is new, and so is its token.
    let mut claims = mk_claims("meshlite-node", "node-a", clock::wall());
    claims["jti"] = "another".into();
    let again = issued.with(&issued.signer.sign(&claims)).await;
    subscribe(&again, v1::Role::L4Node, "node-a").await.unwrap();
    issued.server.stop.cancel();
}

#[tokio::test]
async fn a_data_plane_follows_over_tls() {
    let ca = ClientCa::new();
    let state = tempfile::tempdir().unwrap();
    let (running, _folder) = start(&ca, state.path()).await;
    let credentials = ca.sign("node-a", "meshlite:node");
    let tls = Tls::new(Ca::File(state.path().join("ca.crt")), credentials);
    let mut node = Plane::secured(running.grpc, connect::Security::Tls(tls));
    node.until("a Service", |s| s.services.len() == 1).await;
    running.stop().await;
}
