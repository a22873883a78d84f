//! An API server reduced to what a control plane asks of it: lists, watches, and the keys of its tokens.
//!
//! It answers from memory, so that what is measured is the control plane. That a real one is understood, the tests against
//! a real kube-apiserver show.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::{Method, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use crate::world::{Collection, Size, namespace, slice};

/// Events that wait for a watcher: more than a collection has objects.
const UNREAD: usize = 100_000;

/// The API server. Clones share it.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

struct Shared {
    size: Size,
    jwks: Value,
    collections: BTreeMap<Collection, Objects>,
    version: AtomicU64,
}

#[derive(Default)]
struct Objects(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    objects: Vec<Arc<str>>,
    watchers: Vec<mpsc::Sender<Bytes>>,
}

// === impl Api ===

impl Api {
    pub(crate) fn new(size: Size, jwks: Value) -> Self {
        let collections = [
            Collection::Services,
            Collection::EndpointSlices,
            Collection::Nodes,
            Collection::Namespaces,
            Collection::Empty,
        ];
        let filled = collections.map(|collection| {
            let objects = collection
                .objects(size)
                .into_iter()
                .map(Arc::from)
                .collect();
            let watchers = vec![];
            (
                collection,
                Objects(Mutex::new(Watched { objects, watchers })),
            )
        });
        Self(Arc::new(Shared {
            size,
            jwks,
            collections: filled.into(),
            version: AtomicU64::new(1),
        }))
    }

    /// Serves on a port of the system's, for as long as the process lives.
    pub(crate) async fn serve(&self) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(addr)
    }

    /// Makes the first endpoint of a slice ready or not, and tells whoever watches.
    pub(crate) fn change(&self, number: u32, ready: bool, trigger: &str) -> anyhow::Result<()> {
        let version = self.0.version.fetch_add(1, Ordering::Relaxed) + 1;
        let object: Arc<str> = slice(number, self.0.size.endpoints, version, trigger, ready).into();
        let line = event("MODIFIED", &object);
        let slices = self.0.collections.get(&Collection::EndpointSlices);
        let mut slices = slices.context("there are no slices")?.lock();
        let index = usize::try_from(number)?;
        *slices
            .objects
            .get_mut(index)
            .context("there is no such slice")? = object;
        slices
            .watchers
            .retain(|watcher| watcher.try_send(line.clone()).is_ok());
        Ok(())
    }

    /// What a watch is sent: what is there, where it asks for that, and then what changes.
    fn watch(&self, collection: Collection, initial: bool) -> Response {
        let (sender, receiver) = mpsc::channel(UNREAD);
        let (kind, version) = collection.kind();
        if let Some(objects) = self.0.collections.get(&collection) {
            let mut watched = objects.lock();
            if initial {
                for object in &watched.objects {
                    drop(sender.try_send(event("ADDED", object)));
                }
                let now = self.0.version.load(Ordering::Relaxed);
                let end = format!(
                    r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{{"resourceVersion":"{now}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}"#
                );
                drop(sender.try_send(event("BOOKMARK", &end)));
            }
            watched.watchers.push(sender);
        }
        let lines = ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>);
        (
            [(CONTENT_TYPE, "application/json")],
            Body::from_stream(lines),
        )
            .into_response()
    }

    fn list(&self, collection: Collection) -> Response {
        let (kind, version) = collection.kind();
        let items = match self.0.collections.get(&collection) {
            Some(objects) => objects.lock().objects.join(","),
            None => String::new(),
        };
        let now = self.0.version.load(Ordering::Relaxed);
        let text = format!(
            r#"{{"kind":"{kind}List","apiVersion":"{version}","metadata":{{"resourceVersion":"{now}"}},"items":[{items}]}}"#
        );
        ([(CONTENT_TYPE, "application/json")], text).into_response()
    }
}

impl Objects {
    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let path = uri.path();
    if method != Method::GET {
        return written(path, &body);
    }
    match path {
        "/version" => {
            Json(json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0"})).into_response()
        }
        "/openid/v1/jwks" => Json(&api.0.jwks).into_response(),
        "/.well-known/openid-configuration" => {
            Json(json!({"issuer": crate::keys::ISSUER, "jwks_uri": "/openid/v1/jwks"}))
                .into_response()
        }
        "/api/v1/namespaces/kube-system" => (
            [(CONTENT_TYPE, "application/json")],
            namespace("kube-system"),
        )
            .into_response(),
        _ => match Collection::of(path) {
            Some(collection) if query.get("watch").is_some_and(|watch| watch != "false") => {
                let initial = query
                    .get("sendInitialEvents")
                    .is_some_and(|initial| initial == "true");
                api.watch(collection, initial)
            }
            Some(collection) => api.list(collection),
            None => refused(StatusCode::NOT_FOUND, "NotFound"),
        },
    }
}

/// Whatever is written is as good as stored; a token is reviewed as its claims were verified.
fn written(path: &str, body: &[u8]) -> Response {
    let Ok(mut object) = serde_json::from_slice::<Value>(body) else {
        return refused(StatusCode::BAD_REQUEST, "BadRequest");
    };
    if path.ends_with("/tokenreviews") {
        let audiences = object.pointer("/spec/audiences").cloned();
        object["status"] = json!({"authenticated": true, "audiences": audiences});
    } else if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".into(), json!("2"));
        metadata.insert("uid".into(), json!("written"));
    }
    (StatusCode::CREATED, Json(object)).into_response()
}

fn refused(code: StatusCode, reason: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code.as_u16(),
    });
    (code, Json(status)).into_response()
}

fn event(kind: &str, object: &str) -> Bytes {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into()
}
