//! What the API server's answers say: pages of lists, lines of watches, and refusals.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use meshlite_compile::ObjectKey;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    known::Identity,
    reflector::{Event, Failure, Item, Page},
};

/// The answer where what was asked is newer than what the server has.
const TOO_LARGE: &str = "ResourceVersionTooLarge";

#[derive(Deserialize)]
struct ListText<'a> {
    metadata: ListMetadata,
    /// None also where there is nothing: lists of metadata say `null` then.
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
    #[serde(rename = "continue", default)]
    token: Option<String>,
}

#[derive(Deserialize)]
struct EventText<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct ObjectText {
    metadata: Metadata,
}

/// What is needed of any object's metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    resource_version: String,
    #[serde(default)]
    annotations: Option<Annotations>,
}

/// The annotations that say something about the event.
#[derive(Default, Deserialize)]
struct Annotations {
    /// On the bookmark that ends a streamed list.
    #[serde(rename = "k8s.io/initial-events-end")]
    end: Option<String>,
    /// On an EndpointSlice: when what changed it happened.
    #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    triggered: Option<String>,
}

/// An object's text, and what is known of it already.
pub(super) struct Text<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) json: &'a str,
    /// When what changed it happened, where its controller says so.
    pub(super) triggered: Option<&'a str>,
}

/// A refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    causes: Option<Vec<Cause>>,
    retry_after_seconds: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
}

/// A page of a list. `read` makes of an object's text what is kept of it.
pub(super) fn page<T>(
    text: &str,
    mut read: impl FnMut(Text<'_>) -> Option<T>,
) -> Result<Page<T>, Failure> {
    let ListText { metadata, items } = serde_json::from_str(text).map_err(|e| unreadable(&e))?;
    let items = items
        .into_iter()
        .flatten()
        .map(|text| item(text.get(), &mut read))
        .collect::<Result<_, _>>()?;
    Ok(Page {
        version: version(&metadata.resource_version)?,
        items,
        token: metadata.token,
    })
}

/// A line of a watch.
pub(super) fn event<T>(
    line: &str,
    mut read: impl FnMut(Text<'_>) -> Option<T>,
) -> Result<Event<T>, Failure> {
    let EventText { kind, object } = serde_json::from_str(line).map_err(|e| unreadable(&e))?;
    match kind.as_ref() {
        "ADDED" | "MODIFIED" => Ok(Event::Put(item(object.get(), &mut read)?)),
        "DELETED" => {
            let (key, identity, _) = metadata(object.get())?;
            Ok(Event::Gone(key, identity))
        }
        "BOOKMARK" => {
            let (_, identity, annotations) = metadata(object.get())?;
            Ok(Event::Bookmark {
                version: identity.version,
                ends_list: annotations.end.as_deref() == Some("true"),
            })
        }
        "ERROR" => Err(refusal(None, object.get())),
        _ => Err(Failure::Broken(format!(
            "the API server sent an event of the unknown type {kind:?}"
        ))),
    }
}

/// What an answer means that is not what was asked for.
pub(super) fn refusal(status: Option<StatusCode>, text: &str) -> Failure {
    let told: Status = serde_json::from_str(text).unwrap_or_default();
    let code = status.map_or(told.code, |status| status.as_u16());
    let Status {
        message, details, ..
    } = told;
    let Details {
        causes,
        retry_after_seconds,
    } = details.unwrap_or_default();
    let causes = causes.unwrap_or_default();
    let text = if message.is_empty() {
        format!("the API server answered with status {code}")
    } else {
        format!("the API server answered with status {code}: {message}")
    };
    let rest = Duration::from_secs(retry_after_seconds.into());
    match code {
        410 => Failure::Expired,
        // Not forgotten, but not known yet.
        504 if causes.iter().any(|cause| cause.reason == TOO_LARGE) => Failure::Busy { text, rest },
        429 | 503 | 504 => Failure::Busy { text, rest },
        401 | 403 => Failure::Forbidden(text),
        400 | 404..=406 | 415 | 422 => Failure::Unsupported(text),
        _ => Failure::Broken(text),
    }
}

fn item<T>(text: &str, read: &mut impl FnMut(Text<'_>) -> Option<T>) -> Result<Item<T>, Failure> {
    let (key, identity, annotations) = metadata(text)?;
    let object = read(Text {
        key: &key,
        json: text,
        triggered: annotations.triggered.as_deref(),
    });
    Ok(Item {
        key,
        identity,
        object,
    })
}

fn metadata(text: &str) -> Result<(ObjectKey, Identity, Annotations), Failure> {
    let ObjectText { metadata } = serde_json::from_str(text).map_err(|e| unreadable(&e))?;
    let Metadata {
        name,
        namespace,
        uid,
        resource_version,
        annotations,
    } = metadata;
    let identity = Identity {
        uid: uid.into(),
        version: version(&resource_version)?,
    };
    let key = ObjectKey::new(namespace, name);
    Ok((key, identity, annotations.unwrap_or_default()))
}

/// Versions of one kind can be compared as numbers: that is promised since Kubernetes 1.35, and was so before.
fn version(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|error| {
        Failure::Broken(format!(
            "the API server's resourceVersion {text:?} is no number: {error}"
        ))
    })
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::Broken(format!(
        "the API server's answer cannot be read: it is wrong at line {}, column {}",
        error.line(),
        error.column()
    ))
}

#[cfg(test)]
mod tests;
