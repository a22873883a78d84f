//! A snapshot fetched from a control plane.

use std::time::Duration;

use anyhow::{Context, bail};
use meshlite_proto::{
    decode,
    v1::{
        self, fetch_snapshot_response::Kind, snapshot_discovery_client::SnapshotDiscoveryClient,
        snapshot_status_client::SnapshotStatusClient,
    },
};
use meshlite_snapshot::{Finding, Snapshot, Version};
use tonic::transport::{Channel, Endpoint};

use super::view::{Item, TopicDigest, View};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Resources and findings can be large; a snapshot is not bounded by the default of 4 MiB.
const MAX_MESSAGE: usize = 256 * 1024 * 1024;

/// Fetches everything. The snapshot is of one generation; findings may be newer.
pub(super) async fn fetch(url: &str) -> anyhow::Result<View> {
    let channel = Endpoint::from_shared(url.to_owned())?
        .connect_timeout(CONNECT_TIMEOUT)
        .connect()
        .await?;
    let mut status =
        SnapshotStatusClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
    let server = status
        .get_server_status(v1::GetServerStatusRequest {})
        .await?
        .into_inner();
    let mut view = resources(channel).await?;
    view.build = Some(server.build);
    let found = status
        .list_findings(v1::ListFindingsRequest {})
        .await?
        .into_inner();
    view.findings = found
        .findings
        .into_iter()
        .map(decode::finding)
        .collect::<Result<Vec<Finding>, _>>()
        .context("a finding cannot be read")?;
    view.findings.sort();
    Ok(view)
}

async fn resources(channel: Channel) -> anyhow::Result<View> {
    let mut client = SnapshotDiscoveryClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let mut stream = client
        .fetch_snapshot(v1::FetchSnapshotRequest { topics: Vec::new() })
        .await?
        .into_inner();
    let mut view = View {
        build: None,
        epoch: None,
        generation: None,
        digests: Vec::new(),
        resources: Vec::new(),
        findings: Vec::new(),
        skipped: None,
        snapshot: Snapshot::default(),
    };
    let mut is_complete = false;
    while let Some(message) = stream.message().await? {
        match message.kind {
            Some(Kind::Begin(begin)) => {
                view.epoch = Some(begin.epoch);
                view.generation = Some(begin.generation);
            }
            Some(Kind::Resource(resource)) => view.resources.push(item(&resource)?),
            Some(Kind::End(end)) => {
                for digest in &end.expected {
                    let (topic, digest, count) = decode::topic_digest(digest)?;
                    view.digests.push(TopicDigest {
                        topic: topic.to_string(),
                        count,
                        digest,
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
    for Item { name, body, .. } in &view.resources {
        view.snapshot.insert(name.clone(), body.clone());
    }
    Ok(view)
}

fn item(message: &v1::Resource) -> anyhow::Result<Item> {
    let named = || {
        format!(
            "resource {} cannot be read; is this build older than the server?",
            message.name
        )
    };
    let (topic, name, body) = decode::readable(message).with_context(named)?;
    let version = u64::from_str_radix(&message.version, 16)
        .map(Version)
        .with_context(named)?;
    Ok(Item {
        kind: topic.kind,
        name,
        version,
        body,
    })
}
