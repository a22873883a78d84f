//! A data plane as a control plane knows it.

use std::time::{Duration, SystemTime};

use meshlite_proto::v1;
use serde::Serialize;

/// A connected data plane. Times are RFC 3339, digests and versions hexadecimal.
#[derive(Debug, Serialize)]
pub(crate) struct Client {
    pub(crate) node: String,
    /// `node` or `ingress`.
    pub(crate) role: String,
    pub(crate) id: String,
    pub(crate) build: String,
    /// The control plane that it follows.
    pub(crate) replica: String,
    pub(crate) connected_at: Option<String>,
    pub(crate) last_heard: Option<String>,
    pub(crate) sent_generation: u64,
    pub(crate) installed_generation: u64,
    /// How long it has been without the oldest change that it has not installed; none where it is up to date.
    pub(crate) lag_seconds: Option<f64>,
    /// What it computed from what it installed is what was published, and it lacks nothing.
    pub(crate) converged: bool,
    pub(crate) digests: Vec<TopicDigest>,
    pub(crate) rejections: Vec<Rejection>,
    #[serde(skip)]
    pub(crate) connected_for: Option<Duration>,
}

#[derive(Debug, Serialize)]
pub(crate) struct TopicDigest {
    pub(crate) topic: String,
    pub(crate) count: u64,
    pub(crate) digest: String,
}

/// A resource that it does not serve as it was sent.
#[derive(Debug, Serialize)]
pub(crate) struct Rejection {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// What is served instead; empty for nothing.
    pub(crate) serving_version: String,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(client: v1::Client, now: SystemTime) -> Self {
        let role = match client.role() {
            v1::Role::L4Node => "node",
            v1::Role::Ingress => "ingress",
            v1::Role::Unspecified => "unknown",
        };
        let v1::ClientIdentity {
            id,
            node_name,
            build,
            ..
        } = client.identity.unwrap_or_default();
        let since =
            |at| SystemTime::try_from(at).map(|at| now.duration_since(at).unwrap_or_default());
        let lag = client.behind_since.and_then(|at| since(at).ok());
        Self {
            node: node_name,
            role: role.to_owned(),
            id,
            build,
            replica: client.replica,
            connected_at: client.connected_at.map(|at| at.to_string()),
            last_heard: client.last_heard.map(|at| at.to_string()),
            sent_generation: client.sent_generation,
            installed_generation: client.installed_generation,
            lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            converged: client.converged && client.behind_since.is_none(),
            digests: client.installed.into_iter().map(TopicDigest::new).collect(),
            rejections: client.rejections.into_iter().map(Rejection::new).collect(),
            connected_for: client.connected_at.and_then(|at| since(at).ok()),
        }
    }

    /// How long it has been behind, for people.
    pub(crate) fn lag(&self) -> String {
        self.lag_seconds
            .and_then(|lag| Duration::try_from_secs_f64(lag).ok())
            .map_or_else(|| "0s".to_owned(), brief)
    }
}

impl TopicDigest {
    pub(super) fn new(digest: v1::TopicDigest) -> Self {
        Self {
            topic: topic(digest.topic.as_ref()),
            count: digest.count,
            digest: digest.digest,
        }
    }
}

impl Rejection {
    fn new(rejection: v1::Rejection) -> Self {
        let reason = match rejection.reason() {
            v1::RejectReason::Malformed => "Malformed",
            v1::RejectReason::Invalid => "Invalid",
            v1::RejectReason::Unsupported => "Unsupported",
            v1::RejectReason::NotProgrammed => "NotProgrammed",
            v1::RejectReason::Unspecified => "Unknown",
        };
        Self {
            kind: topic(rejection.topic.as_ref()),
            name: rejection.name,
            version: rejection.version,
            reason: reason.to_owned(),
            message: rejection.message,
            serving_version: rejection.serving_version,
        }
    }
}

/// A set of resources by name, also where this build does not know its type.
pub(crate) fn topic(topic: Option<&v1::Topic>) -> String {
    let Some(topic) = topic else {
        return String::new();
    };
    meshlite_proto::decode::topic(topic).map_or_else(
        |_unknown| format!("type {}/{}", topic.r#type, topic.scope),
        |topic| topic.to_string(),
    )
}

/// A length of time as kubectl prints it: `850ms`, `12s`, `5m12s`, `3h7m`, `4d2h`.
pub(crate) fn brief(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{}ms", time.as_millis()),
        (0, 0, 0, _) => format!("{seconds}s"),
        (0, 0, _, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _, _) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}
