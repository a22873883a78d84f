//! The CA that the replicas share: its keys in a Secret, what clients should trust in a ConfigMap of the same name.
//!
//! Every write says what it was decided from (`resourceVersion`, or that there was nothing), so that of two replicas that
//! decide at the same time one is told to look again. Answers are read as text: the client library would log one that it
//! cannot read, and these hold a private key.

use std::collections::BTreeMap;

use http::{Method, Request, header::CONTENT_TYPE};
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Client, Error};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The key of the bundle in the ConfigMap.
const BUNDLE: &str = "ca.crt";

/// Where the CA is kept.
#[derive(Clone)]
pub struct TrustStore {
    client: Client,
    namespace: String,
    name: &'static str,
}

/// What is kept there now.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The Secret's data.
    pub secret: Option<Stored<BTreeMap<String, Vec<u8>>>>,
    /// The ConfigMap's bundle; empty where it has none.
    pub bundle: Option<Stored<String>>,
}

/// What an object holds, in this version.
#[derive(Clone)]
pub struct Stored<T> {
    /// What it holds.
    pub data: T,
    version: String,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Yes,
    /// Somebody else wrote since it was read: read again.
    Conflict,
}

impl TrustStore {
    /// A Secret and a ConfigMap of this name in this namespace.
    pub fn new(client: Client, namespace: &str, name: &'static str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            name,
        }
    }

    /// What is there.
    pub async fn read(&self) -> Result<Trust, Error> {
        let secret: Option<Secret> = self.get("secrets").await?;
        let map: Option<ConfigMap> = self.get("configmaps").await?;
        let version = |meta: ObjectMeta| meta.resource_version.unwrap_or_default();
        let bundle = |map: ConfigMap| {
            let text = map.data.and_then(|mut data| data.remove(BUNDLE));
            Stored {
                data: text.unwrap_or_default(),
                version: version(map.metadata),
            }
        };
        let keys = |secret: Secret| {
            let bytes = |(key, value): (String, ByteString)| (key, value.0);
            let data = secret.data.unwrap_or_default();
            Stored {
                data: data.into_iter().map(bytes).collect(),
                version: version(secret.metadata),
            }
        };
        Ok(Trust {
            secret: secret.map(keys),
            bundle: map.map(bundle),
        })
    }

    /// Writes the Secret where it is as it was read. A key without a value is removed.
    pub async fn write(
        &self,
        data: BTreeMap<&'static str, Option<Vec<u8>>>,
        read: &Trust,
    ) -> Result<Written, Error> {
        let version = read.secret.as_ref().map(|stored| stored.version.as_str());
        let encoded = |(key, value): (_, Option<_>)| (key, value.map(ByteString));
        let data: BTreeMap<_, _> = data.into_iter().map(encoded).collect();
        self.put("secrets", "Secret", json!(data), version).await
    }

    /// Writes the bundle where the ConfigMap is as it was read.
    pub async fn publish(&self, bundle: &str, read: &Trust) -> Result<Written, Error> {
        let version = read.bundle.as_ref().map(|stored| stored.version.as_str());
        let data = json!({BUNDLE: bundle});
        self.put("configmaps", "ConfigMap", data, version).await
    }

    async fn get<T: DeserializeOwned>(&self, kind: &str) -> Result<Option<T>, Error> {
        let path = format!("{}/{}", self.folder(kind), self.name);
        let request = Request::get(path).body(Vec::new());
        let request = request.map_err(Error::HttpError)?;
        match self.client.request_text(request).await {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(Error::SerdeError),
            Err(Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the object where it had no version, else changes its data.
    async fn put(
        &self,
        folder: &str,
        kind: &str,
        data: Value,
        version: Option<&str>,
    ) -> Result<Written, Error> {
        let folder = self.folder(folder);
        let (method, path, content, body) = match version {
            None => {
                let data = without_nulls(data);
                let labels = json!({"app.kubernetes.io/part-of": "meshlite"});
                let metadata = json!({"name": self.name, "labels": labels});
                let object = json!({
                    "apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data,
                });
                (Method::POST, folder, "application/json", object)
            }
            Some(version) => {
                let path = format!("{folder}/{}", self.name);
                let patch = json!({"metadata": {"resourceVersion": version}, "data": data});
                let content = "application/merge-patch+json";
                (Method::PATCH, path, content, patch)
            }
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, content)
            .body(body.to_string().into_bytes())
            .map_err(Error::HttpError)?;
        match self.client.request_text(request).await {
            Ok(_) => Ok(Written::Yes),
            // There meanwhile, or another version, or gone meanwhile.
            Err(Error::Api(status)) if status.code == 409 => Ok(Written::Conflict),
            Err(Error::Api(status)) if status.code == 404 && version.is_some() => {
                Ok(Written::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    fn folder(&self, kind: &str) -> String {
        format!("/api/v1/namespaces/{}/{kind}", self.namespace)
    }
}

/// What removes a key in a patch would be an empty value in a new object.
fn without_nulls(mut data: Value) -> Value {
    if let Some(data) = data.as_object_mut() {
        data.retain(|_, value| !value.is_null());
    }
    data
}

impl std::fmt::Debug for TrustStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrustStore({}/{})", self.namespace, self.name)
    }
}

impl<T> std::fmt::Debug for Stored<T> {
    /// Without what it holds: a private key is among it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stored({})", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_object_has_no_key_without_a_value() {
        let data = json!({"ca.crt": "YQ==", "ca-next.key": null});
        assert_eq!(without_nulls(data), json!({"ca.crt": "YQ=="}));
    }
}
