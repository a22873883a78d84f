//! Requests to the API server, with bounds on how long they take and how much they bring.

use std::{sync::Arc, time::Duration};

use http::{
    Request, Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, client::Body};
use meshlite_compile::ObjectKey;
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    kind::{Kind, trimmed},
    reflector::{Ask, Failure},
    wire,
};
use crate::causes;

/// How many objects a page has, where lists come in pages.
const PAGE: u32 = 500;
/// Until an answer begins.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Until an answer that is no watch is there.
const BODY_TIMEOUT: Duration = Duration::from_mins(2);
/// The largest answer that is no watch, in bytes.
const LARGEST: usize = 1024 * 1024 * 1024;
/// The Namespace whose UID is the cluster's identity: every cluster has it from its first minute to its last.
const IDENTITY: &str = "/api/v1/namespaces/kube-system";

const JSON: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// An API server.
#[derive(Clone)]
pub(super) struct Api(pub(super) Client);

impl Api {
    /// Asks for a collection. The answer has begun.
    pub(super) async fn ask(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        ask: &Ask,
        life: Duration,
    ) -> Result<Response<Body>, Failure> {
        let query = query(ask, life);
        let accept = match (kind, ask) {
            (Kind::Secret, Ask::List { .. }) => METADATA_LIST,
            (Kind::Secret, Ask::Stream | Ask::Watch { .. }) => METADATA,
            _ => JSON,
        };
        self.get(&format!("{}?{query}", kind.path(namespace)), accept)
            .await
    }

    /// Which cluster this is; empty where that may not be known.
    pub(super) async fn origin(&self) -> Result<Arc<str>, Failure> {
        #[derive(Deserialize)]
        struct Object {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            uid: Arc<str>,
        }
        let text = match self.get(IDENTITY, METADATA).await {
            Ok(response) => text(response).await?,
            Err(Failure::Forbidden(_) | Failure::Unsupported(_)) => return Ok(Arc::default()),
            Err(failure) => return Err(failure),
        };
        let Object { metadata } = serde_json::from_str(&text).map_err(|error| {
            Failure::Broken(format!("the Namespace kube-system cannot be read: {error}"))
        })?;
        Ok(metadata.uid)
    }

    /// A Secret with its contents; none where there is none.
    pub(super) async fn secret(&self, key: &ObjectKey) -> Result<Option<Arc<Secret>>, Failure> {
        let folder = Kind::Secret.path(Some(&key.namespace));
        let response = match self.get(&format!("{folder}/{}", key.name), JSON).await {
            Ok(response) => response,
            Err(Failure::Unsupported(_)) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        // The error must not say what was read.
        match trimmed(&text(response).await?) {
            Ok(secret) => Ok(Some(secret)),
            Err(error) => Err(Failure::Broken(format!(
                "the Secret cannot be read: it is wrong at line {}, column {}",
                error.line(),
                error.column()
            ))),
        }
    }

    async fn get(&self, path: &str, accept: &'static str) -> Result<Response<Body>, Failure> {
        let request = Request::get(path)
            .header(ACCEPT, accept)
            .header(ACCEPT_ENCODING, "identity")
            .body(Body::empty())
            .map_err(|error| Failure::Broken(format!("{path}: {error}")))?;
        let response = match timeout(HEAD_TIMEOUT, self.0.send(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Failure::Broken(causes(&error))),
            Err(_) => {
                return Err(Failure::Broken(format!(
                    "the API server did not answer within {HEAD_TIMEOUT:?}"
                )));
            }
        };
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(wire::refusal(Some(status), &text(response).await?)),
        }
    }
}

/// The whole answer.
pub(super) async fn text(response: Response<Body>) -> Result<String, Failure> {
    let body = Limited::new(response.into_body(), LARGEST).collect();
    let bytes = match timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(bytes)) => bytes.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Failure::Broken(format!(
                "the API server's answer has more than {LARGEST} bytes"
            )));
        }
        Ok(Err(error)) => return Err(Failure::Broken(causes(error.as_ref()))),
        Err(_) => {
            return Err(Failure::Broken(format!(
                "the API server's answer did not end within {BODY_TIMEOUT:?}"
            )));
        }
    };
    String::from_utf8(bytes.into()).map_err(|error| {
        Failure::Broken(format!(
            "the API server's answer is not UTF-8: {}",
            error.utf8_error()
        ))
    })
}

fn query(ask: &Ask, life: Duration) -> String {
    let life = life.as_secs();
    match ask {
        Ask::List { paged: false, .. } => String::new(),
        Ask::List { token: None, .. } => format!("limit={PAGE}"),
        // Tokens are base64url, which needs no escapes.
        Ask::List {
            token: Some(token), ..
        } => format!("limit={PAGE}&continue={token}"),
        Ask::Stream => format!(
            "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds={life}"
        ),
        Ask::Watch { after } => format!(
            "watch=true&allowWatchBookmarks=true&resourceVersion={after}&timeoutSeconds={life}"
        ),
    }
}
