//! A whole control plane on real folders, with clients as the data planes use them.

mod balance;
mod secure;
mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use meshlite_manifests::admit::{RunningPod, Workload};
use meshlite_proto::{
    encode,
    subscribe::{self, RejectReason},
    v1,
};
use meshlite_snapshot::{Name, ResourceType, Snapshot, Topic};
use tokio::time::timeout;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use self::support::{Plane, Running, cluster_ips, mk_config, mk_folder, port_of, service};
use super::*;
use crate::{
    PodRuntime, SourceConfig,
    testing::{PATIENCE, discovery_client, eventually, status_client},
};

#[tokio::test]
async fn a_client_follows_a_folder() {
    let folder = mk_folder(&[("a.yaml", &service("a", 80)), ("b.yaml", &service("b", 80))]);
    let running = Running::on(folder.path()).await;
    let mut node = Plane::node(running.grpc);
    node.until("both Services", |s| s.services.len() == 2).await;
    fs::write(folder.path().join("a.yaml"), service("a", 8080)).unwrap();
    node.until("the new port", |s| port_of(s, "a") == Some(8080))
        .await;
    fs::remove_file(folder.path().join("b.yaml")).unwrap();
    node.until("b is gone", |s| s.services.len() == 1).await;
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/c.json"), "[]").unwrap();
    fs::write(folder.path().join("sub/c.yml"), service("c", 80)).unwrap();
    node.until("c is there", |s| port_of(s, "c").is_some())
        .await;
    drop(node);
    running.stop().await;
}

#[tokio::test]
async fn a_broken_manifest_changes_nothing_and_is_told_everywhere() {
    let folder = mk_folder(&[("a.yaml", &service("a", 80)), ("b.yaml", &service("b", 80))]);
    let running = Running::on(folder.path()).await;
    let mut node = Plane::node(running.grpc);
    node.until("both Services", |s| s.services.len() == 2).await;
    let broken = format!("{}---\nkind: Service\nmetadata: [", service("a", 81));
    fs::write(folder.path().join("a.yaml"), broken).unwrap();
    let is_of_a = |finding: &v1::Finding| {
        let source = finding.source.as_ref();
        let is_error = finding.severity() == v1::finding::Severity::Error;
        is_error && source.is_some_and(|source| source.file == "a.yaml")
    };
    eventually(
        "the finding is listed",
        async || running.findings().await,
        |findings| findings.iter().any(is_of_a),
    )
    .await;
    let listed = running.get("/findings").await;
    assert!(listed.contains("\"file\":\"a.yaml\""), "{listed}");
    let metrics = running.get("/metrics").await;
    assert!(
        metrics.contains("meshlite_findings{severity=\"error\""),
        "{metrics}"
    );
    fs::write(folder.path().join("b.yaml"), service("b", 82)).unwrap();
    node.until("b goes on", |s| port_of(s, "b") == Some(82))
        .await;
    assert_eq!(port_of(&node.snapshot, "a"), Some(80));
    fs::write(folder.path().join("a.yaml"), service("a", 83)).unwrap();
    node.until("a is good again", |s| port_of(s, "a") == Some(83))
        .await;
    eventually(
        "the finding is gone",
        async || running.findings().await,
        |findings| !findings.iter().any(is_of_a),
    )
    .await;
}

#[tokio::test]
async fn a_half_written_file_takes_nothing_down() {
    let text = format!("{}{}", service("a", 80), service("b", 80));
    let folder = mk_folder(&[("all.yaml", &text)]);
    let running = Running::on(folder.path()).await;
    let mut node = Plane::node(running.grpc);
    node.until("both Services", |s| s.services.len() == 2).await;
    // What a slow writer leaves on disk for longer than a file has to be unchanged.
    let (half, _) = text.split_at(text.len() - 12);
    fs::write(folder.path().join("all.yaml"), half).unwrap();
    let both_there = |s: &Snapshot| s.services.len() == 2;
    node.always(Duration::from_millis(700), both_there).await;
    fs::write(folder.path().join("all.yaml"), text.replace("80", "90")).unwrap();
    node.until("it is whole", |s| port_of(s, "b") == Some(90))
        .await;
    assert_eq!(node.snapshot.services.len(), 2);
}

#[tokio::test]
async fn a_mounted_config_map_is_followed_when_its_link_is_swapped() {
    let folder = mk_folder(&[]);
    let root = folder.path();
    for (version, port) in [("..2026_1", 80), ("..2026_2", 81)] {
        fs::create_dir(root.join(version)).unwrap();
        fs::write(root.join(version).join("a.yaml"), service("a", port)).unwrap();
    }
    symlink("..2026_1", root.join("..data")).unwrap();
    symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    let running = Running::on(root).await;
    let mut node = Plane::node(running.grpc);
    node.until("the first version", |s| port_of(s, "a") == Some(80))
        .await;
    assert_eq!(node.snapshot.services.len(), 1);
    symlink("..2026_2", root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    node.until("the second version", |s| port_of(s, "a") == Some(81))
        .await;
}

#[tokio::test]
async fn a_restart_keeps_what_was_allocated_and_resends_nothing() {
    let folder = mk_folder(&[("z.yaml", &service("z", 80))]);
    let state = tempfile::tempdir().unwrap();
    let config = mk_config(folder.path(), Some(state.path()));
    let running = Running::start(config.clone()).await;
    let mut node = Plane::node(running.grpc);
    node.until("z is there", |s| s.services.len() == 1).await;
    fs::write(folder.path().join("a.yaml"), service("a", 80)).unwrap();
    node.until("a is there", |s| s.services.len() == 2).await;
    let before = cluster_ips(&node.snapshot);
    let (grpc, commits) = (running.grpc, node.commits);
    running.stop().await;

    let config = Config {
        listen: grpc,
        ..config
    };
    let again = Running::start(config).await;
    let mut other = Plane::node(again.grpc);
    other
        .until("both are there", |s| s.services.len() == 2)
        .await;
    assert_eq!(cluster_ips(&other.snapshot), before);
    // The first client finds its way back, and has nothing to install.
    let status = node.subscription.status();
    let epoch = async || status.borrow().epoch.clone();
    let new = again.epoch().await;
    eventually("it follows the new epoch", epoch, |epoch| *epoch == new).await;
    assert_eq!(node.commits, commits);
    let metrics = again.get("/metrics").await;
    assert!(
        metrics.contains("meshlite_commit_total{mode=\"delta\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_corrupt_state_file_is_told_and_does_not_keep_it_from_starting() {
    let folder = mk_folder(&[("a.yaml", &service("a", 80))]);
    let state = mk_folder(&[("allocations.json", "not JSON")]);
    let running = Running::start(mk_config(folder.path(), Some(state.path()))).await;
    let mut node = Plane::node(running.grpc);
    node.until("a is there", |s| s.services.len() == 1).await;
    let findings = running.findings().await;
    assert!(
        findings
            .iter()
            .any(|finding| finding.reason == "StateCorrupt"),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn both_planes_hold_what_a_fetched_snapshot_proves() {
    use v1::fetch_snapshot_response::Kind;
    let text = format!("{}{INGRESS}{ENDPOINTS}", service("a", 80));
    let folder = mk_folder(&[("a.yaml", &text)]);
    let running = Running::on(folder.path()).await;
    let mut node = Plane::node(running.grpc);
    let mut ingress = Plane::new(running.grpc, v1::Role::Ingress, &Topic::INGRESS);
    node.until("a Service", |s| s.services.len() == 1).await;
    ingress
        .until("a route", |s| !s.route_tables.is_empty())
        .await;
    let mut client = discovery_client(running.grpc).await;
    let fetched = client
        .fetch_snapshot(v1::FetchSnapshotRequest::default())
        .await;
    let mut stream = fetched.unwrap().into_inner();
    let mut proved = Vec::new();
    let mut names = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        match message.kind.unwrap() {
            Kind::Begin(_) => {}
            Kind::Resource(resource) => names.push((resource.r#type, resource.name)),
            Kind::End(end) => proved = end.expected,
        }
    }
    let is_new = |(index, name)| !names[..index].contains(name);
    assert!(
        names.iter().enumerate().all(is_new),
        "each comes once: {names:?}"
    );
    assert_eq!(proved.len(), crate::publish::TOPICS.len());
    for (plane, topics) in [(&node, Topic::NODE.len()), (&ingress, Topic::INGRESS.len())] {
        let status = plane.subscription.status();
        let digests = async || status.borrow().digests.clone();
        let is_proved = |digests: &Vec<subscribe::TopicDigest>| {
            let wire =
                |d: &subscribe::TopicDigest| encode::topic_digest(d.topic, d.digest, d.count);
            digests.len() == topics && digests.iter().map(wire).all(|d| proved.contains(&d))
        };
        eventually("the digests agree", digests, is_proved).await;
    }
    let mut status = status_client(running.grpc).await;
    eventually(
        "both are converged",
        async || {
            let listed = status.list_clients(v1::ListClientsRequest::default()).await;
            listed.unwrap().into_inner().clients
        },
        |clients| clients.len() == 2 && clients.iter().all(|client| client.converged),
    )
    .await;
    let server = status
        .get_server_status(v1::GetServerStatusRequest {})
        .await;
    let server = server.unwrap().into_inner();
    assert_eq!(server.digests, proved);
    assert_eq!(server.sources[0].resource, "manifests");
}

const INGRESS: &str = "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec:
  rules:
  - host: a.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}
";

const ENDPOINTS: &str = "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, namespace: default, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [127.0.0.2]}]
";

#[tokio::test]
async fn what_a_plane_rejects_is_listed_and_counted() {
    let folder = mk_folder(&[("a.yaml", &service("a", 80))]);
    let running = Running::on(folder.path()).await;
    let mut node = Plane::node(running.grpc);
    let services = Topic::all(ResourceType::Service);
    let name = Name::namespaced("default", "a").unwrap();
    let next = timeout(PATIENCE, node.subscription.next()).await;
    let mut commit = next.expect("a commit comes").unwrap();
    assert!(commit.snapshot().services.contains_key(&name));
    let reason = "no such port here".to_owned();
    commit.reject(services, &name, RejectReason::NotProgrammed, reason);
    commit.acknowledge();
    let mut status = status_client(running.grpc).await;
    let clients = eventually(
        "the rejection is listed",
        async || {
            let listed = status.list_clients(v1::ListClientsRequest::default()).await;
            listed.unwrap().into_inner().clients
        },
        |clients| clients.iter().any(|client| !client.rejections.is_empty()),
    )
    .await;
    let rejection = &clients[0].rejections[0];
    assert_eq!(rejection.name, "default/a");
    assert_eq!(rejection.message, "no such port here");
    assert!(!clients[0].converged);
    let metrics = running.get("/metrics").await;
    assert!(
        metrics.contains("meshlite_nack_total{type=\"Service\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("meshlite_clients{role=\"l4_node\"} 1"),
        "{metrics}"
    );
}

/// Writes a file again and again, so that it never settles, until it is dropped.
fn keep_writing(path: PathBuf, text: String) -> tokio_util::sync::DropGuard {
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    tokio::spawn(async move {
        while !stop.is_cancelled() {
            fs::write(&path, &text).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    guard
}

#[tokio::test]
async fn it_is_ready_and_healthy_once_the_first_compile_is_done() {
    let folder = mk_folder(&[("a.yaml", "")]);
    let writing = keep_writing(folder.path().join("a.yaml"), service("a", 80));
    let running = Running::on(folder.path()).await;
    let channel = tonic::transport::Endpoint::new(format!("http://{}", running.grpc)).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let mut check = async |service: &str| {
        let service = service.to_owned();
        let answer = health.check(HealthCheckRequest { service }).await.unwrap();
        answer.into_inner().status()
    };
    for service in serve::HEALTH {
        assert_eq!(
            check(service).await,
            ServingStatus::NotServing,
            "{service:?}"
        );
    }
    let answer = running.get("/readyz").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("snapshot"),
        "{answer}"
    );
    let mut client = discovery_client(running.grpc).await;
    let refused = client
        .fetch_snapshot(v1::FetchSnapshotRequest::default())
        .await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::Unavailable);

    drop(writing);
    let ready = async || running.get("/readyz").await;
    eventually("it is ready", ready, |answer| {
        answer.starts_with("HTTP/1.1 200")
    })
    .await;
    for service in serve::HEALTH {
        assert_eq!(check(service).await, ServingStatus::Serving, "{service:?}");
    }
    let metrics = running.get("/metrics").await;
    for line in [
        "meshlite_snapshot_generation 1",
        "meshlite_snapshot_resources{type=\"Service\"} 1",
        "meshlite_source_objects{kind=\"Service\"} 1",
        "meshlite_compile_duration_seconds_count 1",
        "meshlite_snapshot_bytes{type=\"Service\"}",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_its_versions() {
    use tonic_reflection::pb::{v1 as current, v1alpha as older};
    let folder = mk_folder(&[]);
    let running = Running::on(folder.path()).await;
    let channel = tonic::transport::Endpoint::new(format!("http://{}", running.grpc)).unwrap();
    let channel = channel.connect().await.unwrap();
    let wanted = [
        "grpc.health.v1.Health",
        "meshlite.discovery.v1.SnapshotDiscovery",
        "meshlite.discovery.v1.SnapshotStatus",
    ];
    let mut client =
        current::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let ask = current::ServerReflectionRequest {
        message_request: Some(
            current::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
        ..Default::default()
    };
    let asked = client.server_reflection_info(tokio_stream::once(ask)).await;
    let answer = asked
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    let listed = format!("{answer:?}");
    let mut client = older::server_reflection_client::ServerReflectionClient::new(channel);
    let ask = older::ServerReflectionRequest {
        message_request: Some(
            older::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
        ..Default::default()
    };
    let asked = client.server_reflection_info(tokio_stream::once(ask)).await;
    let answer = asked
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    let listed_by_older = format!("{answer:?}");
    for name in wanted {
        assert!(listed.contains(name), "{listed}");
        assert!(listed_by_older.contains(name), "{listed_by_older}");
    }
}

#[tokio::test]
async fn what_cannot_start_names_the_flag() {
    let missing = ControlPlane::bind(mk_config(Path::new("/nowhere/at-all"), None)).await;
    let error = missing.unwrap_err().to_string();
    assert!(
        error.starts_with("--manifests /nowhere/at-all: "),
        "{error}"
    );
    let folder = mk_folder(&[("file", "")]);
    let not_a_folder = folder.path().join("file");
    let refused = ControlPlane::bind(mk_config(folder.path(), Some(&not_a_folder))).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.starts_with("--state-dir "), "{error}");
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config {
        listen: holder.local_addr().unwrap(),
        ..mk_config(folder.path(), None)
    };
    let error = ControlPlane::bind(config).await.unwrap_err().to_string();
    assert!(error.contains("(--listen)"), "{error}");
}

/// Remembers what it was asked to run.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<String>>);

impl PodRuntime for Asked {
    fn run(&self, workloads: &[Workload]) -> Vec<RunningPod> {
        let names = workloads.iter().map(|workload| workload.name.clone());
        *self.0.lock().unwrap() = names.collect();
        Vec::new()
    }
}

#[tokio::test]
async fn workloads_are_given_to_what_runs_pods() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  \
        selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    \
        spec: {containers: [{name: web, image: web}]}\n";
    let folder = mk_folder(&[("a.yaml", deployment)]);
    let asked = Arc::new(Asked::default());
    let mut config = mk_config(folder.path(), None);
    let SourceConfig::Files { pods, .. } = &mut config.source else {
        panic!("another source");
    };
    *pods = Some(Arc::<Asked>::clone(&asked));
    let _running = Running::start(config).await;
    let names = async || asked.0.lock().unwrap().clone();
    eventually("it is asked to run web", names, |names| *names == ["web"]).await;
}

#[tokio::test]
async fn compiled_once_is_what_a_server_serves() {
    let folder = mk_folder(&[("a.yaml", &format!("{}{INGRESS}", service("a", 80)))]);
    let config = mk_config(folder.path(), None);
    let once = crate::compile_once(&config.source, &config.settings).unwrap();
    let running = Running::start(config).await;
    let mut node = Plane::node(running.grpc);
    node.until("a Service", |s| s.services.len() == 1).await;
    assert_eq!(node.snapshot.services, once.compiled.snapshot.services);
    let listed = running.findings().await;
    let expected: Vec<_> = once.findings.iter().map(encode::finding).collect();
    assert_eq!(listed, expected);
    let nowhere = mk_config(Path::new("/nowhere"), None);
    assert!(crate::compile_once(&nowhere.source, &nowhere.settings).is_err());
}
