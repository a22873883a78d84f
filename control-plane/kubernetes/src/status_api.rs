//! Reads and patches the status of one kind of object. Nothing but status and metadata can change this way.

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

/// Whose fields they are, in managedFields.
pub(crate) const FIELD_MANAGER: &str = "meshlite";
/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Ingresses.
///
/// Rights: `list` and `get` on `ingresses`, `patch` on `ingresses/status`.
pub type IngressApi = StatusApi<Ingress>;
/// Services.
///
/// Rights: `list` and `get` on `services`, `patch` on `services/status`.
pub type ServiceApi = StatusApi<Service>;

/// A kind of object whose status is written.
pub trait StatusObject:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + fmt::Debug
{
    /// What of it matters to whoever writes.
    type State;

    /// Reads that, at the object's version.
    fn state(&self) -> Self::State;
}

/// The objects of a kind.
pub struct StatusApi<K> {
    client: Client,
    kind: PhantomData<fn() -> K>,
}

/// Why something was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object is not as it was when it was read: read it again, and decide again.
    #[error("the object has changed meanwhile: {0}")]
    Conflict(Box<kube::core::Status>),
    /// The object, or its namespace, is gone or going: forget it.
    #[error("the object is gone: {0}")]
    Gone(Box<kube::core::Status>),
    /// The API server will not have this one, also not the next time.
    #[error("{0}")]
    Refused(Box<kube::core::Status>),
    /// Nothing can be written now.
    #[error("the API server does not answer: {0}")]
    Unavailable(String),
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                409 => Self::Conflict(status),
                404 => Self::Gone(status),
                // A namespace that is being deleted takes nothing new.
                403 if status.message.contains("being terminated") => Self::Gone(status),
                408 | 429 | 500.. => Self::Unavailable(status.message),
                _ => Self::Refused(status),
            },
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Waits for an answer for a bounded time.
pub(crate) async fn answered<T>(
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, WriteError> {
    match timeout(REQUEST, request).await {
        Ok(answer) => Ok(answer?),
        Err(_elapsed) => Err(WriteError::Unavailable(format!(
            "no answer after {} s",
            REQUEST.as_secs()
        ))),
    }
}

impl<K> Clone for StatusApi<K> {
    fn clone(&self) -> Self {
        Self::new(self.client.clone())
    }
}

impl<K> fmt::Debug for StatusApi<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusApi").finish_non_exhaustive()
    }
}

impl<K> StatusApi<K> {
    /// The objects that this client may see.
    pub fn new(client: Client) -> Self {
        Self {
            client,
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

    /// One object as it is.
    pub async fn get(&self, key: &ObjectKey) -> Result<K::State, WriteError> {
        let object = answered(self.api(key).get(&key.name)).await?;
        Ok(object.state())
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
        let object: K = answered(api.patch_status(&key.name, &params, &patch)).await?;
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
