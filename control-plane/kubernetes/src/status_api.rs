//! Reads and patches the status of one kind of object. Nothing but status and metadata can change this way, and nothing
//! after this process ceased to lead.

use std::{fmt, marker::PhantomData, time::Duration};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{core::v1::Service, networking::v1::Ingress},
};
use kube::{
    Api, Client, Resource,
    api::{ListParams, Patch, PatchParams},
};
use meshlite_compile::ObjectKey;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::lease::Leadership;

/// Whose fields they are, in managedFields.
pub(crate) const FIELD_MANAGER: &str = "meshlite";
/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Ingresses.
///
/// Rights: `list` on `ingresses`, `patch` on `ingresses/status`.
pub type IngressApi = StatusApi<Ingress>;
/// Services.
///
/// Rights: `list` on `services`, `patch` on `services/status`.
pub type ServiceApi = StatusApi<Service>;

/// A kind of object whose status is written.
pub trait StatusObject:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + fmt::Debug
{
    /// What of it matters to whoever writes.
    type State: Send + Sync;

    /// Reads that, at the object's version.
    fn state(&self) -> Self::State;
}

/// The objects of a kind.
pub struct StatusApi<K> {
    client: Client,
    leadership: Leadership,
    kind: PhantomData<fn() -> K>,
}

/// Why something was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object is not as it was when it was read: read it again, and decide again.
    #[error("the object has changed meanwhile: {0}")]
    Conflict(String),
    /// The object, or its namespace, is gone or going: forget it.
    #[error("the object is gone: {0}")]
    Gone(String),
    /// A right is missing, which the API server names: it is the same for all objects of the kind.
    #[error("{0}")]
    Forbidden(String),
    /// The API server will not have this one, also not the next time.
    #[error("{0}")]
    Refused(String),
    /// This process does not lead any more. What was on its way may have arrived.
    #[error("another replica may lead")]
    Deposed,
    /// Nothing can be written now.
    #[error("the API server does not answer: {0}")]
    Unavailable(String),
}

impl WriteError {
    /// One word for it, such as a metric's label holds.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Gone(_) => "gone",
            Self::Forbidden(_) => "forbidden",
            Self::Refused(_) => "refused",
            Self::Deposed => "deposed",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let kube::core::Status { code, message, .. } = *status;
                match code {
                    409 => Self::Conflict(message),
                    404 => Self::Gone(message),
                    // A namespace that is being deleted takes nothing new.
                    403 if message.contains("being terminated") => Self::Gone(message),
                    401 | 403 => Self::Forbidden(message),
                    408 | 429 | 500.. => Self::Unavailable(message),
                    _ => Self::Refused(message),
                }
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Waits for an answer for a bounded time.
pub(crate) fn answered<T>(
    request: impl Future<Output = kube::Result<T>>,
) -> impl Future<Output = Result<T, WriteError>> {
    // Requests are large, and part of every future that awaits one.
    let request = Box::pin(request);
    async {
        match timeout(REQUEST, request).await {
            Ok(answer) => Ok(answer?),
            Err(_elapsed) => Err(WriteError::Unavailable(format!(
                "no answer after {} s",
                REQUEST.as_secs()
            ))),
        }
    }
}

/// As [`answered`], for what only the leader may do: not sent once its token has ended, and not awaited past that.
pub(crate) fn written<T>(
    leadership: &Leadership,
    request: impl Future<Output = kube::Result<T>>,
) -> impl Future<Output = Result<T, WriteError>> {
    let answer = answered(request);
    async {
        let guarded = leadership.guard(answer).await;
        guarded.unwrap_or(Err(WriteError::Deposed))
    }
}

impl<K> Clone for StatusApi<K> {
    fn clone(&self) -> Self {
        Self::new(self.client.clone(), self.leadership.clone())
    }
}

impl<K> fmt::Debug for StatusApi<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusApi").finish_non_exhaustive()
    }
}

impl<K> StatusApi<K> {
    /// The objects that this client may see; it writes while it leads.
    pub fn new(client: Client, leadership: Leadership) -> Self {
        Self {
            client,
            leadership,
            kind: PhantomData,
        }
    }
}

impl<K: StatusObject> StatusApi<K> {
    /// All objects of a namespace, or of all, that a field selector selects.
    pub async fn list(
        &self,
        namespace: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Vec<(ObjectKey, K::State)>, WriteError> {
        let api: Api<K> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut params = ListParams::default().limit(PAGE);
        params.field_selector = fields.map(str::to_owned);
        let mut states = Vec::new();
        loop {
            let page = answered(api.list(&params)).await?;
            states.extend(
                page.items
                    .iter()
                    .map(|object| (key(object), object.state())),
            );
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(states),
            }
        }
    }

    /// One object as it is. It is listed by its name, so that whoever may watch needs no further right.
    pub async fn get(&self, key: &ObjectKey) -> Result<K::State, WriteError> {
        let params = ListParams::default().fields(&format!("metadata.name={}", key.name));
        let found = answered(self.api(key).list(&params)).await?;
        let object = found.items.first();
        object
            .map(StatusObject::state)
            .ok_or_else(|| WriteError::Gone(format!("there is no {key}")))
    }

    /// Merges `patch` into the object's status, and says what it is like then. The patch holds the `resourceVersion` that it
    /// was decided on, so that one which is late fails.
    pub async fn patch(&self, key: &ObjectKey, patch: &Value) -> Result<K::State, WriteError> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api(key);
        let patch = Patch::Strategic(patch);
        let object: K = written(
            &self.leadership,
            api.patch_status(&key.name, &params, &patch),
        )
        .await?;
        Ok(object.state())
    }

    fn api(&self, key: &ObjectKey) -> Api<K> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }
}

fn key<K: Resource>(object: &K) -> ObjectKey {
    let meta = object.meta();
    ObjectKey::new(
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}
