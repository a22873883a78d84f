//! A client that starts again from what it kept on disk.

use std::path::Path;

use super::*;

fn mk_cache(folder: &Path) -> Cache {
    Cache {
        folder: folder.to_owned(),
        secrets: None,
    }
}

fn follow_keeping(url: String, cache: Cache) -> (Subscription, CancellationToken) {
    follow_with(ClientConfig {
        cache: Some(cache),
        ..mk_config(vec![url])
    })
}

/// The address of a server that is not there.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Follows a server, installs what it has, and ends in order.
async fn run_once(server: &Running, folder: &Path) -> Snapshot {
    let (mut subscription, stop) = follow_keeping(server.url(), mk_cache(folder));
    let commit = next(&mut subscription).await;
    assert!(!commit.provisional());
    let installed = commit.snapshot().clone();
    commit.acknowledge();
    let mut status = subscription.status();
    reaches(&mut status, "installed", |s| s.generation > 0).await;
    stop.cancel();
    let ended = timeout(PATIENCE, subscription.next()).await;
    assert!(ended.expect("it ends").is_none());
    installed
}

#[tokio::test]
async fn a_client_starts_without_a_control_plane_and_is_confirmed_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::with_nodes("a", &[("one", "z"), ("two", "z")]);
    let server = Fake::new(model).serve().await;
    let installed = run_once(&server, folder.path()).await;
    server.stop().await;

    let address = nobody().await;
    let url = format!("http://{address}");
    let (mut subscription, _stop) = follow_keeping(url, mk_cache(folder.path()));
    let commit = next(&mut subscription).await;
    assert!(commit.provisional());
    assert_eq!(commit.snapshot(), &installed);
    commit.acknowledge();
    let mut status = subscription.status();
    let lost = |s: &SessionStatus| s.provisional && s.last_error.is_some();
    let lost = reaches(&mut status, "from disk and alone", lost).await;
    assert_eq!(lost.digests[0].count + lost.digests[1].count, 2);

    let model = Model::with_nodes("b", &[("one", "z"), ("two", "z")]);
    let _server = Fake::new(model).serve_on(address).await;
    let confirmed = reaches(&mut status, "confirmed", |s| !s.provisional).await;
    assert_eq!(confirmed.epoch, "b");
}

#[tokio::test]
async fn a_damaged_cache_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("node.snapshot"), b"MESHLITE?").unwrap();
    let server = Fake::new(Model::with_nodes("a", &[("one", "z")]))
        .serve()
        .await;
    let installed = run_once(&server, folder.path()).await;
    assert_eq!(installed.nodes.len(), 1);
    assert!(folder.path().join("node.snapshot.damaged").exists());
    assert!(folder.path().join("node.snapshot").exists(), "a new one");
}

#[tokio::test]
async fn a_cache_that_would_keep_private_keys_on_a_disk_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache = mk_cache(folder.path());
    cache.secrets = Some("/proc/self".into());
    let (subscription, _stop) = follow_keeping("http://127.0.0.1:1".into(), cache);
    let mut status = subscription.status();
    let refused = reaches(&mut status, "refused", |s| s.last_error.is_some()).await;
    let error = refused.last_error.unwrap();
    assert!(error.starts_with("/proc/self is not memory"), "{error}");
}
