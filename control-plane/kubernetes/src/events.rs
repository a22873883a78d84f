//! Events on the objects that something is wrong with: found at the input, or rejected by a data plane.
//!
//! They are `v1` Events, not `events.k8s.io/v1`: `kubectl describe` lists the former by the object's UID and shows its
//! `count` and `lastTimestamp`, which the newer API does not let anybody update. Their names are made of what they say,
//! so that a new leader goes on with those of the last one instead of saying everything again.

mod book;

use std::{borrow::Cow, time::Duration};

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use meshlite_snapshot::Version;
use serde_json::json;

use crate::{
    lease::Leadership,
    status_api::{FIELD_MANAGER, WriteError, answered, written},
};

pub use book::EventBook;

/// How often an Event that still holds is repeated, at most. The server forgets it an hour after the last time.
pub(crate) const REPEAT: Duration = Duration::from_mins(10);
/// The longest message, in characters: `events.k8s.io` allows no longer note.
const LONGEST_MESSAGE: usize = 1000;
/// What of an object's name is kept in an Event's: a name has at most 253 characters.
const LONGEST_NAME: usize = 230;
const COMPONENT: &str = "meshlite-control-plane";

/// Something that an object's owner should read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// The object.
    pub subject: Subject,
    /// One word in CamelCase.
    pub reason: Cow<'static, str>,
    /// What makes it this notice and no other, besides subject and reason: a field, or a resource.
    pub about: String,
    /// A sentence. It may change without making this another notice.
    pub message: String,
}

/// An object as an Event refers to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// `Service`, `Ingress` …
    pub kind: Cow<'static, str>,
    /// Empty for a cluster-scoped object.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The object's UID: `kubectl describe` shows no Event of another one.
    pub uid: String,
}

/// An Event as it was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// How often it was said.
    pub count: i32,
    /// How long ago it was last said.
    pub age: Duration,
    /// `metadata.resourceVersion`
    version: String,
    /// Its message.
    says: Version,
}

/// Writes Events, while this process leads.
///
/// Rights it needs on `events`, in every namespace that is watched and in `default`: `create`, `get`, `patch`.
#[derive(Clone)]
pub struct Events {
    client: Client,
    leadership: Leadership,
    /// The name of this replica.
    replica: String,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

impl Notice {
    /// The name of its Event: the same for the same notice, whoever writes it.
    pub fn name(&self) -> String {
        let Subject {
            kind,
            namespace,
            name,
            uid,
        } = &self.subject;
        let parts = [
            kind.as_ref(),
            namespace,
            uid,
            self.reason.as_ref(),
            &self.about,
        ];
        let hash = Version::of(parts.join("\0").as_bytes());
        let name: String = name.chars().take(LONGEST_NAME).collect();
        let name = name.trim_end_matches(['.', '-']);
        format!("{name}.{hash}")
    }

    fn namespace(&self) -> &str {
        if self.subject.namespace.is_empty() {
            "default"
        } else {
            &self.subject.namespace
        }
    }

    fn message(&self) -> String {
        self.message.chars().take(LONGEST_MESSAGE).collect()
    }

    fn says(&self) -> Version {
        Version::of(self.message().as_bytes())
    }

    fn event(&self, replica: &str, wall: Timestamp) -> Event {
        let Subject {
            kind,
            namespace,
            name,
            uid,
        } = &self.subject;
        Event {
            metadata: ObjectMeta {
                name: Some(self.name()),
                namespace: Some(self.namespace().to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some(api_version(kind).to_owned()),
                kind: Some(kind.to_string()),
                namespace: (!namespace.is_empty()).then(|| namespace.clone()),
                name: Some(name.clone()),
                uid: Some(uid.clone()),
                ..ObjectReference::default()
            },
            type_: Some("Warning".to_owned()),
            reason: Some(self.reason.to_string()),
            message: Some(self.message()),
            count: Some(1),
            first_timestamp: Some(Time(wall)),
            last_timestamp: Some(Time(wall)),
            source: Some(EventSource {
                component: Some(COMPONENT.to_owned()),
                host: None,
            }),
            reporting_component: Some(COMPONENT.to_owned()),
            reporting_instance: Some(replica.to_owned()),
            ..Event::default()
        }
    }
}

fn api_version(kind: &str) -> &'static str {
    match kind {
        "Ingress" | "IngressClass" => "networking.k8s.io/v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        _ => "v1",
    }
}

impl Posted {
    fn of(event: &Event, wall: Timestamp) -> Self {
        let last = event.last_timestamp.as_ref();
        let age = last.map(|time| wall.duration_since(time.0));
        let message = event.message.as_deref().unwrap_or_default();
        Self {
            count: event.count.unwrap_or(1).max(1),
            age: age.map_or(REPEAT, |age| Duration::try_from(age).unwrap_or_default()),
            version: event.metadata.resource_version.clone().unwrap_or_default(),
            says: Version::of(message.as_bytes()),
        }
    }
}

impl Events {
    /// A writer with the name of its replica.
    pub fn new(client: Client, leadership: Leadership, replica: &str) -> Self {
        Self {
            client,
            leadership,
            replica: replica.to_owned(),
        }
    }

    /// Says it: for the first time, or once more where it was said before. `known` is how this process left it. What another
    /// leader said a moment ago is left as it is.
    pub async fn post(
        &self,
        notice: &Notice,
        known: Option<&Posted>,
        wall: Timestamp,
    ) -> Result<Posted, WriteError> {
        if let Some(known) = known {
            match self.repeat(notice, known, wall).await {
                // The server has forgotten it.
                Err(WriteError::Gone(_)) => {}
                // Another leader has said it since.
                Err(WriteError::Conflict(_)) => return self.go_on(notice, wall).await,
                outcome => return outcome,
            }
        }
        let event = notice.event(&self.replica, wall);
        let api = self.api(notice);
        match written(&self.leadership, api.create(&PostParams::default(), &event)).await {
            Ok(event) => Ok(Posted::of(&event, wall)),
            Err(WriteError::Conflict(_)) => self.go_on(notice, wall).await,
            Err(error) => Err(error),
        }
    }

    /// Goes on with an Event that is there.
    async fn go_on(&self, notice: &Notice, wall: Timestamp) -> Result<Posted, WriteError> {
        let event = answered(self.api(notice).get(&notice.name())).await?;
        let found = Posted::of(&event, wall);
        if found.age < REPEAT {
            return Ok(found);
        }
        self.repeat(notice, &found, wall).await
    }

    /// Says it once more, unless somebody else has since it was left as `known`.
    async fn repeat(
        &self,
        notice: &Notice,
        known: &Posted,
        wall: Timestamp,
    ) -> Result<Posted, WriteError> {
        let patch = json!({
            "metadata": {"resourceVersion": known.version},
            "count": known.count.saturating_add(1),
            "lastTimestamp": Time(wall),
            "message": notice.message(),
            "reportingInstance": self.replica,
        });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        let api = self.api(notice);
        let name = notice.name();
        let event = written(&self.leadership, api.patch(&name, &params, &patch)).await?;
        Ok(Posted::of(&event, wall))
    }

    fn api(&self, notice: &Notice) -> Api<Event> {
        Api::namespaced(self.client.clone(), notice.namespace())
    }
}

#[cfg(test)]
mod tests;
