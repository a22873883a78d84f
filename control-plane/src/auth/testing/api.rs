//! An API server that knows only what tokens need, can change its keys, revoke, and go away.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use meshlite_kubernetes::{Client, Connection};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{ISSUER, Signer};

/// What a fake API server does now.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) jwks: Mutex<String>,
    pub(crate) revokes: AtomicBool,
    pub(crate) key_reads: AtomicUsize,
    pub(crate) reviews: AtomicUsize,
}

/// An API server that knows only what tokens need.
pub(crate) struct FakeApi {
    pub(crate) state: Arc<State>,
    pub(crate) client: Client,
    serving: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl FakeApi {
    pub(crate) async fn start(signer: &Signer) -> Self {
        let state = Arc::new(State::default());
        *state.jwks.lock().unwrap() = signer.jwks();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = router(&state);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": url}}],
            "users": [{"name": "fake", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        });
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        let connection = Connection {
            kubeconfig: Some(path),
            api_server: None,
        };
        Self {
            state,
            client: connection.client().await.unwrap(),
            serving,
            _folder: folder,
        }
    }

    /// It is gone, with its connections.
    pub(crate) async fn stop(&mut self) {
        self.serving.abort();
        assert!((&mut self.serving).await.unwrap_err().is_cancelled());
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn router(state: &Arc<State>) -> Router {
    let (of_keys, of_reviews) = (Arc::clone(state), Arc::clone(state));
    let discovery = json!({"issuer": ISSUER});
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(async || Json(discovery)),
        )
        .route(
            "/openid/v1/jwks",
            get(async move || {
                of_keys.key_reads.fetch_add(1, Ordering::Relaxed);
                of_keys.jwks.lock().unwrap().clone()
            }),
        )
        .route(
            "/apis/authentication.k8s.io/v1/tokenreviews",
            post(async move |Json(review): Json<Value>| {
                of_reviews.reviews.fetch_add(1, Ordering::Relaxed);
                let is_good = !of_reviews.revokes.load(Ordering::Relaxed);
                let audiences = &review["spec"]["audiences"];
                let status = json!({"authenticated": is_good, "audiences": audiences});
                (
                    StatusCode::CREATED,
                    Json(json!({"spec": review["spec"], "status": status})),
                )
            }),
        )
}
