//! A control plane that runs, a data plane that installs what it is sent, and small manifests.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Duration};

use meshlite_compile::Settings;
use meshlite_manifests::admit::AdmitSettings;
use meshlite_proto::{
    connect,
    subscribe::{self, ClientConfig, Subscription},
    v1,
};
use meshlite_snapshot::{Name, Snapshot, Topic};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Config, ControlPlane, RunError, Security, SourceConfig,
    testing::{PATIENCE, status_client},
};

/// A control plane that runs.
pub(super) struct Running {
    pub(super) grpc: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) ended: JoinHandle<Result<(), RunError>>,
}

impl Running {
    pub(super) async fn start(config: Config) -> Self {
        let control_plane = ControlPlane::bind(config).await.unwrap();
        let stop = CancellationToken::new();
        Self {
            grpc: control_plane.grpc_addr(),
            admin: control_plane.admin_addr().unwrap(),
            stop: stop.clone(),
            ended: tokio::spawn(control_plane.run(stop)),
        }
    }

    pub(super) async fn on(manifests: &Path) -> Self {
        Self::start(mk_config(manifests, None)).await
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        let ended = timeout(PATIENCE, self.ended).await;
        ended.expect("it stops").unwrap().unwrap();
    }

    pub(super) async fn findings(&self) -> Vec<v1::Finding> {
        let mut status = status_client(self.grpc).await;
        match status.list_findings(v1::ListFindingsRequest {}).await {
            Ok(listed) => listed.into_inner().findings,
            Err(_) => Vec::new(),
        }
    }

    pub(super) async fn epoch(&self) -> String {
        let mut status = status_client(self.grpc).await;
        let answer = status
            .get_server_status(v1::GetServerStatusRequest {})
            .await;
        answer.unwrap().into_inner().epoch
    }

    /// The status line and body of a GET from the admin server.
    pub(super) async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// A data plane that installs whatever it is sent.
pub(super) struct Plane {
    pub(super) subscription: Subscription,
    pub(super) snapshot: Snapshot,
    pub(super) commits: usize,
    _stop: DropGuard,
}

impl Plane {
    pub(super) fn new(grpc: SocketAddr, role: v1::Role, topics: &[Topic]) -> Self {
        let url = format!("http://{grpc}");
        Self::of(url, role, topics, connect::Security::Plaintext)
    }

    /// A node that shows who it is.
    pub(super) fn secured(grpc: SocketAddr, security: connect::Security) -> Self {
        let url = format!("https://{grpc}");
        Self::of(url, v1::Role::L4Node, &Topic::NODE, security)
    }

    fn of(url: String, role: v1::Role, topics: &[Topic], security: connect::Security) -> Self {
        let stop = CancellationToken::new();
        let config = ClientConfig {
            endpoints: vec![url],
            identity: v1::ClientIdentity {
                id: format!("plane-{}", role.as_str_name()),
                node_name: "node-a".into(),
                ..v1::ClientIdentity::default()
            },
            role,
            topics: topics.to_vec(),
            security,
            cache: None,
        };
        Self {
            subscription: subscribe::subscribe(config, stop.clone()),
            snapshot: Snapshot::default(),
            commits: 0,
            _stop: stop.drop_guard(),
        }
    }

    pub(super) fn node(grpc: SocketAddr) -> Self {
        Self::new(grpc, v1::Role::L4Node, &Topic::NODE)
    }

    /// Installs commits until the snapshot is as wanted.
    pub(super) async fn until(&mut self, what: &str, is_right: impl Fn(&Snapshot) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.commits == 0 || !is_right(&self.snapshot) {
            let next = tokio::time::timeout_at(deadline, self.subscription.next()).await;
            let Ok(commit) = next else {
                panic!("{what}: the last snapshot was {:#?}", self.snapshot);
            };
            let commit = commit.expect("the subscription goes on");
            self.snapshot = commit.snapshot().clone();
            self.commits += 1;
            commit.acknowledge();
        }
    }

    /// Installs what comes within a while, and says after each commit whether this holds.
    pub(super) async fn always(&mut self, during: Duration, holds: impl Fn(&Snapshot) -> bool) {
        let deadline = Instant::now() + during;
        while let Ok(commit) = tokio::time::timeout_at(deadline, self.subscription.next()).await {
            let commit = commit.expect("the subscription goes on");
            self.snapshot = commit.snapshot().clone();
            assert!(holds(&self.snapshot), "{:#?}", self.snapshot);
            commit.acknowledge();
        }
    }
}

pub(super) fn mk_config(manifests: &Path, state_dir: Option<&Path>) -> Config {
    let loopback = "127.0.0.1:0".parse().unwrap();
    Config {
        listen: loopback,
        admin_listen: Some(loopback),
        source: SourceConfig::Files {
            manifests: manifests.to_owned(),
            state_dir: state_dir.map(Path::to_owned),
            admit: AdmitSettings::default(),
            pods: None,
        },
        settings: Settings {
            watch_ingress_without_class: true,
            ..Settings::default()
        },
        security: Security::Insecure,
        replica: "replica-1".into(),
    }
}

pub(super) fn service(name: &str, port: u16) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  \
         ports: [{{port: {port}}}]\n"
    )
}

pub(super) fn mk_folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

pub(super) fn port_of(snapshot: &Snapshot, name: &str) -> Option<u16> {
    let name = Name::namespaced("default", name).unwrap();
    let service = snapshot.services.get(&name)?;
    Some(service.ports[0].port)
}

pub(super) fn cluster_ips(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let ip = |service: &meshlite_snapshot::Service| format!("{:?}", service.cluster_ips);
    let services = snapshot.services.iter();
    services
        .map(|(name, service)| (name.to_string(), ip(service)))
        .collect()
}
