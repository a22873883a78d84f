//! Resources of a control plane.

use anyhow::{Context, bail};
use meshlite_proto::{
    decode, encode,
    installed::{self, Filter, Item},
    v1::{self, fetch_snapshot_response::Kind},
};
use meshlite_snapshot::{Finding, ResourceType, Topic};

use super::view::{TopicDigest, View};
use crate::{ask::Server, config::Reach, progress::Progress};

const READING: &str = "reading resources";

/// Fetches everything. The snapshot is of one generation; findings may be newer.
pub(super) async fn fetch(reach: &Reach) -> anyhow::Result<View> {
    let server = reach.first().await?;
    let status = server.server_status().await?;
    let mut view = snapshot(&server).await?;
    view.build = Some(status.build);
    let mut client = server.status();
    let found = server
        .answer(client.list_findings(v1::ListFindingsRequest {}))
        .await?;
    view.findings = found
        .findings
        .into_iter()
        .map(decode::finding)
        .collect::<Result<Vec<Finding>, _>>()
        .context("a finding cannot be read")?;
    view.findings.sort();
    view.findings_total = found.total;
    Ok(view)
}

/// The resources of these types, of the filter's namespace only where each type is named by it.
pub(super) async fn dump(
    reach: &Reach,
    kinds: &[ResourceType],
    filter: &Filter,
) -> anyhow::Result<View> {
    let server = reach.first().await?;
    let topics = kinds.iter().map(|kind| encode::topic(Topic::all(*kind)));
    // Hosts, not namespaces, name tables of routes.
    let is_named_by_namespace = !kinds.contains(&ResourceType::RouteTable);
    let namespace = filter.namespace.as_ref().filter(|_| is_named_by_namespace);
    let request = v1::DumpResourcesRequest {
        topics: topics.collect(),
        name_prefix: namespace.map_or_else(String::new, |namespace| format!("{namespace}/")),
    };
    let mut client = server.status();
    let mut stream = server.answer(client.dump_resources(request)).await?;
    let mut resources = Vec::new();
    let progress = Progress::of_many(READING, None);
    while let Some(resource) = stream.message().await.map_err(|s| server.refused(&s))? {
        resources.push(item(&resource)?);
        progress.reached(resources.len() as u64);
    }
    Ok(View::of(resources))
}

async fn snapshot(server: &Server<'_>) -> anyhow::Result<View> {
    let mut client = server.discovery();
    let mut stream = server
        .answer(client.fetch_snapshot(v1::FetchSnapshotRequest { topics: Vec::new() }))
        .await?;
    let (mut resources, mut digests) = (Vec::new(), Vec::new());
    let (mut epoch, mut generation) = (None, None);
    let mut is_complete = false;
    let progress = Progress::of_many(READING, None);
    while let Some(message) = stream.message().await.map_err(|s| server.refused(&s))? {
        match message.kind {
            Some(Kind::Begin(begin)) => {
                epoch = Some(begin.epoch);
                generation = Some(begin.generation);
                progress.expect((begin.frame_count > 0).then_some(begin.frame_count));
            }
            Some(Kind::Resource(resource)) => {
                resources.push(item(&resource)?);
                progress.reached(resources.len() as u64);
            }
            Some(Kind::End(end)) => {
                for digest in &end.expected {
                    let (topic, digest, count) = decode::topic_digest(digest)?;
                    digests.push(TopicDigest {
                        topic: topic.to_string(),
                        count,
                        digest: digest.to_string(),
                    });
                }
                is_complete = true;
            }
            None => {}
        }
    }
    if !is_complete {
        bail!("the stream ended before the snapshot was complete");
    }
    Ok(View {
        epoch,
        generation,
        digests,
        ..View::of(resources)
    })
}

fn item(message: &v1::Resource) -> anyhow::Result<Item> {
    installed::item(message).with_context(|| {
        format!(
            "resource {} cannot be read; is this build older than the server?",
            message.name
        )
    })
}
