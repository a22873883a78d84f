//! Tokens with an API server that changes its keys, revokes, and goes away.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use meshlite_kubernetes::Connection;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::*;
use crate::auth::testing::{ISSUER, Signer, mk_claims, mk_token_config};

/// What a fake API server does now.
#[derive(Default)]
struct State {
    jwks: Mutex<String>,
    revokes: std::sync::atomic::AtomicBool,
    key_reads: AtomicUsize,
    reviews: AtomicUsize,
}

/// An API server that knows only what tokens need.
pub(crate) struct FakeApi {
    state: Arc<State>,
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

fn mk_token(signer: &Signer) -> String {
    signer.sign(&mk_claims("meshlite-node", "node-a", clock::wall()))
}

fn mk_tokens(api: &FakeApi) -> Tokens {
    Tokens::new(mk_token_config(), api.client.clone())
}

#[tokio::test]
async fn a_token_is_reviewed_once_in_a_minute_also_when_it_comes_ten_times_at_once() {
    let signer = Signer::new("one");
    let api = FakeApi::start(&signer).await;
    let tokens = mk_tokens(&api);
    let token = mk_token(&signer);
    let verify = || tokens.verify(&token);
    let all = tokio::join!(verify(), verify(), verify(), verify(), verify());
    for verified in [all.0, all.1, all.2, all.3, all.4] {
        assert_eq!(verified.unwrap().node.as_deref(), Some("node-a"));
    }
    assert!(tokens.known(&token).is_some());
    assert_eq!(api.state.reviews.load(Ordering::Relaxed), 1);
    assert_eq!(api.state.key_reads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_revoked_token_is_refused_though_its_signature_is_good() {
    let signer = Signer::new("one");
    let api = FakeApi::start(&signer).await;
    api.state.revokes.store(true, Ordering::Relaxed);
    let tokens = mk_tokens(&api);
    let token = mk_token(&signer);
    assert_eq!(tokens.verify(&token).await, Err(Refusal::Revoked));
    assert!(tokens.known(&token).is_none());
}

#[tokio::test]
async fn with_the_api_server_gone_known_keys_are_enough_and_unknown_ones_are_refused() {
    let signer = Signer::new("one");
    let mut api = FakeApi::start(&signer).await;
    let tokens = mk_tokens(&api);
    tokens.refresh(REFRESH_FIRST).await;
    api.stop().await;
    // Of a node that was restarted meanwhile: never seen before.
    let caller = tokens.verify(&mk_token(&signer)).await.unwrap();
    assert_eq!(caller.node.as_deref(), Some("node-a"));
    let other = mk_token(&Signer::new("two"));
    let unknown = Refusal::UnknownKey("two".to_owned());
    assert_eq!(tokens.verify(&other).await, Err(unknown));
}

#[tokio::test]
async fn without_any_keys_one_is_told_to_try_again() {
    let signer = Signer::new("one");
    let mut api = FakeApi::start(&signer).await;
    let tokens = mk_tokens(&api);
    api.stop().await;
    let refused = tokens.verify(&mk_token(&signer)).await;
    assert_eq!(refused, Err(Refusal::NoKeys));
}

#[tokio::test]
async fn an_unknown_key_is_looked_up_but_not_for_everyone_who_asks() {
    let (old, new) = (Signer::new("one"), Signer::new("two"));
    let api = FakeApi::start(&old).await;
    let tokens = mk_tokens(&api);
    tokens.verify(&mk_token(&old)).await.unwrap();
    // Within ten seconds of the first reading nothing is read.
    let unknown = Err(Refusal::UnknownKey("two".to_owned()));
    for _ in 0..5 {
        assert_eq!(tokens.verify(&mk_token(&new)).await, unknown);
    }
    assert_eq!(api.state.key_reads.load(Ordering::Relaxed), 1);
    *api.state.jwks.lock().unwrap() = new.jwks();
    tokens.refresh.lock().await.tried = None;
    tokens.verify(&mk_token(&new)).await.unwrap();
    assert_eq!(api.state.key_reads.load(Ordering::Relaxed), 2);
    // The old key is withdrawn, also for tokens that were known.
    let gone = Err(Refusal::UnknownKey("one".to_owned()));
    assert_eq!(tokens.verify(&mk_token(&old)).await, gone);
}
