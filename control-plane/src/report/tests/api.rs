//! An API server in this process: objects with versions, lists and watches of them, and answers that a test chooses.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use meshlite_kubernetes::Client;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// An API server. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct FakeApi(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    version: u64,
    /// By resource, namespace and name.
    objects: BTreeMap<Key, Value>,
    history: Vec<(u64, Key, Value)>,
    watchers: Vec<(Target, Watcher)>,
    log: Vec<Call>,
    refusals: Vec<(Method, &'static str, StatusCode)>,
    held: Option<(&'static str, Method, &'static str, watch::Receiver<bool>)>,
    /// Of so many patches, each comes after somebody else's.
    overtaken: usize,
}

type Key = (String, String, String);
type Watcher = mpsc::Sender<Result<String, Infallible>>;

/// Events that wait for a watcher; one that falls further behind has to watch anew.
const WAITING: usize = 1024;

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) who: &'static str,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) status: u16,
}

/// What a path names.
#[derive(Clone, Debug)]
struct Target {
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Target {
    fn of(path: &str) -> Self {
        let mut parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        parts.drain(..if parts[0] == "api" { 2 } else { 3 });
        let namespace = (parts[0] == "namespaces" && parts.len() > 2).then(|| parts[1].to_owned());
        let parts = &parts[if namespace.is_some() { 2 } else { 0 }..];
        Self {
            resource: parts[0].to_owned(),
            namespace,
            name: parts.get(1).map(|name| (*name).to_owned()),
        }
    }

    fn key(&self) -> Key {
        let namespace = self.namespace.clone().unwrap_or_default();
        let name = self.name.clone().unwrap_or_default();
        (self.resource.clone(), namespace, name)
    }

    fn has(&self, (resource, namespace, _): &Key) -> bool {
        *resource == self.resource && self.namespace.as_ref().is_none_or(|of| of == namespace)
    }
}

impl FakeApi {
    /// A client that the log knows by this name.
    pub(super) fn client(&self, who: &'static str) -> Client {
        let router = Router::new()
            .fallback(serve)
            .with_state((self.clone(), who));
        Client::new(router, "default")
    }

    /// Makes or changes an object, as a user does: `resource` is such as `ingresses`.
    pub(super) fn put(&self, resource: &str, namespace: &str, name: &str, object: Value) {
        let key = (resource.into(), namespace.into(), name.into());
        self.content().put(key, object);
    }

    pub(super) fn get(&self, resource: &str, namespace: &str, name: &str) -> Value {
        let key = (resource.into(), namespace.into(), name.into());
        let content = self.content();
        content.objects.get(&key).cloned().unwrap_or_default()
    }

    pub(super) fn list(&self, resource: &str) -> Vec<Value> {
        let content = self.content();
        let of = content.objects.iter().filter(|(key, _)| key.0 == resource);
        of.map(|(_, object)| object.clone()).collect()
    }

    /// From now on these requests are refused.
    pub(super) fn refuse(&self, method: Method, path: &'static str, status: StatusCode) {
        self.content().refusals.push((method, path, status));
    }

    pub(super) fn allow_all(&self) {
        self.content().refusals.clear();
    }

    /// Somebody else writes to an Ingress right before each of the next patches of it.
    pub(super) fn overtake(&self, patches: usize) {
        self.content().overtaken = patches;
    }

    /// Requests of `who` stay on their way until the sender says `true`, whether or not anybody waits for them any more.
    pub(super) fn hold(
        &self,
        who: &'static str,
        method: Method,
        path: &'static str,
    ) -> watch::Sender<bool> {
        let (release, held) = watch::channel(false);
        self.content().held = Some((who, method, path, held));
        release
    }

    /// The writes, in order; `path` is a part of theirs.
    pub(super) fn writes(&self, path: &str) -> Vec<Call> {
        let content = self.content();
        let log = content.log.iter();
        log.filter(|call| call.method != Method::GET && call.path.contains(path))
            .cloned()
            .collect()
    }

    fn content(&self) -> std::sync::MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }
}

impl Content {
    fn put(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        let (_, namespace, name) = &key;
        let is_new = !self.objects.contains_key(&key);
        let metadata = &mut object["metadata"];
        metadata["namespace"] = json!(namespace);
        metadata["name"] = json!(name);
        metadata["uid"] = json!(format!("uid-of-{name}"));
        metadata["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(key.clone(), object.clone());
        let kind = if is_new { "ADDED" } else { "MODIFIED" };
        let event = json!({"type": kind, "object": object});
        self.watchers
            .retain(|(target, sender)| !target.has(&key) || send(sender, &event));
        self.history.push((self.version, key, event));
        object
    }

    fn patch(&mut self, key: &Key, patch: &Value) -> (StatusCode, Value) {
        if key.0 == "ingresses" && self.overtaken > 0 {
            self.overtaken -= 1;
            let mut other = self.objects[key].clone();
            other["metadata"]["annotations"]["by"] = json!(format!("somebody {}", self.overtaken));
            self.put(key.clone(), other);
        }
        let Some(before) = self.objects.get(key).cloned() else {
            return refusal(StatusCode::NOT_FOUND);
        };
        let version = &patch["metadata"]["resourceVersion"];
        if !version.is_null() && *version != before["metadata"]["resourceVersion"] {
            return refusal(StatusCode::CONFLICT);
        }
        let mut after = before.clone();
        merge(&mut after, patch);
        if after == before {
            return (StatusCode::OK, before);
        }
        (StatusCode::OK, self.put(key.clone(), after))
    }

    fn replace(&mut self, key: &Key, object: Value) -> (StatusCode, Value) {
        match self.objects.get(key) {
            None => refusal(StatusCode::NOT_FOUND),
            Some(before)
                if before["metadata"]["resourceVersion"]
                    != object["metadata"]["resourceVersion"] =>
            {
                refusal(StatusCode::CONFLICT)
            }
            Some(_) => (StatusCode::OK, self.put(key.clone(), object)),
        }
    }

    fn create(&mut self, target: &Target, object: Value) -> (StatusCode, Value) {
        let mut key = target.key();
        key.2 = object["metadata"]["name"].as_str().unwrap().to_owned();
        if self.objects.contains_key(&key) {
            return refusal(StatusCode::CONFLICT);
        }
        (StatusCode::CREATED, self.put(key, object))
    }

    fn list(&self, target: &Target, query: &str) -> (StatusCode, Value) {
        let query = query.replace("%3D", "=");
        let selector = query
            .split('&')
            .find_map(|part| part.strip_prefix("fieldSelector="));
        let is_selected = |object: &Value| match selector.and_then(|s| s.split_once('=')) {
            Some(("metadata.name", name)) => object["metadata"]["name"] == name,
            Some(("spec.type", kind)) => object["spec"]["type"] == kind,
            _ => true,
        };
        let of_target = self.objects.iter().filter(|(key, _)| target.has(key));
        let items: Vec<_> = of_target
            .map(|(_, object)| object)
            .filter(|object| is_selected(object))
            .collect();
        let version = self.version.to_string();
        let list = json!({"metadata": {"resourceVersion": version}, "items": items});
        (StatusCode::OK, list)
    }

    fn watch(&mut self, target: Target, query: &str) -> Response {
        let after = query
            .split('&')
            .find_map(|part| part.strip_prefix("resourceVersion="));
        let Some(after) = after.and_then(|version| version.parse::<u64>().ok()) else {
            // It streams no lists.
            return answer(refusal(StatusCode::UNPROCESSABLE_ENTITY));
        };
        let (sender, events) = mpsc::channel(WAITING);
        let missed = self.history.iter();
        for (_, _, event) in missed.filter(|(version, key, _)| *version > after && target.has(key))
        {
            send(&sender, event);
        }
        self.watchers.push((target, sender));
        Body::from_stream(ReceiverStream::new(events)).into_response()
    }
}

async fn serve(State((api, who)): State<(FakeApi, &'static str)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let held = api.content().held.clone();
    let held = held.filter(|(whose, method, part, _)| {
        *whose == who && *method == head.method && path.contains(part)
    });
    let serving = async move {
        if let Some((.., mut held)) = held {
            held.wait_for(|released| *released).await.unwrap();
        }
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let response = api.answer(&head.method, &path, &query, body);
        let status = response.status().as_u16();
        api.content().log.push(Call {
            who,
            method: head.method,
            path,
            status,
        });
        response
    };
    // What is on its way arrives, also where nobody waits for the answer.
    tokio::spawn(serving).await.unwrap()
}

impl FakeApi {
    fn answer(&self, method: &Method, path: &str, query: &str, body: Value) -> Response {
        let mut content = self.content();
        let refused = content
            .refusals
            .iter()
            .find(|(of, part, _)| of == method && path.contains(part));
        if let Some((_, _, status)) = refused {
            return answer(refusal(*status));
        }
        let target = Target::of(path);
        answer(match (method.as_str(), &target.name) {
            ("GET", None) if query.contains("watch=true") => return content.watch(target, query),
            ("GET", None) => content.list(&target, query),
            ("GET", Some(_)) => match content.objects.get(&target.key()) {
                Some(object) => (StatusCode::OK, object.clone()),
                None => refusal(StatusCode::NOT_FOUND),
            },
            ("POST", None) => content.create(&target, body),
            ("PUT", Some(_)) => content.replace(&target.key(), body),
            ("PATCH", Some(_)) => content.patch(&target.key(), &body),
            _ => refusal(StatusCode::METHOD_NOT_ALLOWED),
        })
    }
}

fn answer((status, body): (StatusCode, Value)) -> Response {
    let json = [("content-type", "application/json")];
    (status, json, body.to_string()).into_response()
}

fn refusal(status: StatusCode) -> (StatusCode, Value) {
    let reason = status.canonical_reason().unwrap().replace(' ', "");
    let code = status.as_u16();
    let message = format!("refused: {reason}");
    let body = json!({
        "kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": message,
    });
    (status, body)
}

fn send(sender: &Watcher, event: &Value) -> bool {
    sender.try_send(Ok(format!("{event}\n"))).is_ok()
}

/// A JSON merge patch.
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        patch.clone_into(object);
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (field, value) in fields {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(field);
        } else {
            merge(&mut object[field], value);
        }
    }
}
