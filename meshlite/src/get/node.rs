//! What a node or ingress has installed, from its admin server.

use anyhow::Context;
use meshlite_proto::installed::{self, Filter};
use meshlite_snapshot::{ResourceType, Topic};
use serde::Deserialize;

use super::view::{TopicDigest, View};
use crate::ask;

/// What `/snapshot` answers, as far as it is printed here.
#[derive(Debug, Deserialize)]
struct Snapshot {
    epoch: String,
    generation: u64,
    digests: Vec<TopicDigest>,
}

/// Everything that is installed.
pub(super) async fn fetch(url: &str) -> anyhow::Result<View> {
    let body = ask::admin(url, "/snapshot").await?;
    let snapshot: Snapshot =
        serde_json::from_slice(&body).with_context(|| format!("{url}/snapshot cannot be read"))?;
    // What a node does not follow it has none of.
    let topics = Topic::NODE.iter().chain(&Topic::INGRESS);
    let mut kinds: Vec<_> = topics.map(|topic| topic.kind).collect();
    kinds.sort();
    kinds.dedup();
    let view = dump(url, &kinds, &Filter::default()).await?;
    Ok(View {
        epoch: Some(snapshot.epoch),
        generation: Some(snapshot.generation),
        digests: snapshot.digests,
        ..view
    })
}

/// The resources of these types that are installed; all namespaces of them.
pub(super) async fn dump(
    url: &str,
    kinds: &[ResourceType],
    filter: &Filter,
) -> anyhow::Result<View> {
    let is_named_by_namespace = !kinds.contains(&ResourceType::RouteTable);
    let namespace = filter.namespace.as_ref().filter(|_| is_named_by_namespace);
    let query = namespace.map_or_else(String::new, |name| format!("?namespace={name}"));
    let mut resources = Vec::new();
    for kind in kinds {
        let path = format!("/resources/{kind}{query}");
        let body = ask::admin(url, &path).await?;
        let items = installed::decode(body).with_context(|| {
            format!("{url}{path} cannot be read; is this build older than the server?")
        })?;
        resources.extend(items);
    }
    Ok(View::of(resources))
}
