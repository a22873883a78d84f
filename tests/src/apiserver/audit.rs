//! Who asked the API server for what: its audit log, read back.

use std::fs;

use serde::Deserialize;

use super::{ApiServer, Error};

/// One request that was answered, or a watch that began.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Entry {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The API group; empty for the core one.
    pub group: String,
    /// In the plural, such as `endpointslices`; empty for a request that is not for an object.
    pub resource: String,
    /// Such as `status` or `token`; empty for the object itself.
    pub subresource: String,
    /// Empty for what is not in a namespace, and for all namespaces.
    pub namespace: String,
    /// Empty for a list and the like.
    pub name: String,
    /// Such as `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// Which of the user's credentials: for a service account `JTI=` and the token's claim `jti`; else empty.
    pub credential: String,
    /// The HTTP status of the answer.
    pub code: u16,
}

/// The parts of an `audit.k8s.io/v1` Event that matter here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    extra: Extra,
}

#[derive(Default, Deserialize)]
struct Extra {
    #[serde(default, rename = "authentication.kubernetes.io/credential-id")]
    credential: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl ApiServer {
    /// Every request so far but the ones for health and discovery, in the order of their answers.
    /// A watch is there once, from when it began or was refused.
    pub fn audit(&self) -> Result<Vec<Entry>, Error> {
        let log = fs::read_to_string(self.credentials.file("audit.log")).map_err(Error::Folder)?;
        Ok(entries(&log))
    }
}

fn entries(log: &str) -> Vec<Entry> {
    // A last line without its end is still being written.
    let whole = log.rfind('\n').and_then(|end| log.get(..end));
    let events = whole.unwrap_or_default().lines();
    events
        .filter_map(|line| serde_json::from_str::<Event>(line).ok())
        .filter(|event| !(event.stage == "ResponseComplete" && watched(event)))
        .map(|event| Entry {
            verb: event.verb,
            group: event.object_ref.api_group,
            resource: event.object_ref.resource,
            subresource: event.object_ref.subresource,
            namespace: event.object_ref.namespace,
            name: event.object_ref.name,
            user: event.user.username,
            credential: event.user.extra.credential.concat(),
            code: event.response_status.code,
        })
        .collect()
}

/// Whether the event is of a watch that was granted, whose beginning has an event of its own.
fn watched(event: &Event) -> bool {
    event.verb == "watch" && event.response_status.code == 200
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_counts_once_and_a_line_being_written_not_yet() {
        let event = |stage: &str, code: u16| {
            format!(
                r#"{{"stage":"{stage}","verb":"watch","user":{{"username":"u"}},"objectRef":{{"resource":"pods"}},"responseStatus":{{"code":{code}}}}}"#
            )
        };
        let log = [
            event("ResponseStarted", 200),
            event("ResponseComplete", 200),
            event("ResponseComplete", 403),
            event("ResponseStarted", 200),
        ]
        .join("\n");
        let codes: Vec<_> = entries(&log).into_iter().map(|e| e.code).collect();
        assert_eq!(codes, [200, 403]);
    }
}
