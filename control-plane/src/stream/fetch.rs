//! One full snapshot as readable resources, for grpcurl and backups.

use meshlite_proto::{decode, encode, v1, v1::fetch_snapshot_response::Kind};
use meshlite_snapshot::{Name, ResourceType, Topic};
use tonic::Status;

use super::{digest, hello};
use crate::publish::{Entry, TOPICS, View};

/// Whether private keys and passwords are shown: to those that need them only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrivateKeys {
    Shown,
    Hidden,
}

/// The resources of the topics that were asked for, between `CommitBegin` and `CommitEnd`.
///
/// No topics: all resources of every type, each once, and the digests of the narrower scopes too, so that one answer
/// can be compared with what any client reports.
pub(super) fn messages(
    view: &View,
    request: &v1::FetchSnapshotRequest,
    sources: Vec<v1::Watermark>,
    keys: PrivateKeys,
) -> Result<impl Iterator<Item = v1::FetchSnapshotResponse> + Send + use<>, Status> {
    let topics = topics(&request.topics, &ResourceType::ALL.map(Topic::all))?;
    let proved = if request.topics.is_empty() {
        &TOPICS[..]
    } else {
        &topics
    };
    let selected = select(view, &topics, "");
    let bytes = selected
        .iter()
        .map(|(_, _, content)| content.body.len() as u64)
        .sum();
    let begin = Kind::Begin(v1::CommitBegin {
        nonce: 1,
        epoch: view.epoch().to_owned(),
        from_generation: 0,
        generation: view.generation(),
        mode: v1::CommitMode::Full.into(),
        encoding: v1::Encoding::Identity.into(),
        frame_count: selected.len() as u64,
        bytes,
        replaced_buckets: Vec::new(),
        raw_bytes: bytes,
        topics: topics.iter().copied().map(encode::topic).collect(),
    });
    let end = Kind::End(v1::CommitEnd {
        nonce: 1,
        generation: view.generation(),
        expected: proved.iter().map(|topic| digest(view, *topic)).collect(),
        sources,
        oldest_change: None,
    });
    let resources = selected
        .into_iter()
        .map(move |(topic, name, content)| Kind::Resource(show(topic, &name, &content, keys)));
    Ok(std::iter::once(begin)
        .chain(resources)
        .chain(std::iter::once(end))
        .map(|kind| v1::FetchSnapshotResponse { kind: Some(kind) }))
}

/// A resource that was asked for. It stays as it is, whatever is published meanwhile.
pub(crate) type Selected = (Topic, Name, Entry);

/// The resources of these topics whose names begin with `prefix`.
pub(crate) fn select(view: &View, topics: &[Topic], prefix: &str) -> Vec<Selected> {
    let of_topic = |topic: &Topic| {
        let topic = *topic;
        let entries = view.entries(topic);
        let wanted = entries.filter(|(name, _)| name.as_str().starts_with(prefix));
        wanted.map(move |(name, entry)| (topic, name.clone(), entry.clone()))
    };
    topics.iter().flat_map(of_topic).collect()
}

/// A resource for people to read, without private keys.
pub(crate) fn readable(topic: Topic, name: &Name, content: &Entry) -> v1::Resource {
    show(topic, name, content, PrivateKeys::Hidden)
}

fn show(topic: Topic, name: &Name, content: &Entry, keys: PrivateKeys) -> v1::Resource {
    let Ok(resource) = decode::body(topic.kind, &content.body.bytes()) else {
        // It was encoded here; what cannot be read is shown by its version.
        return v1::Resource {
            r#type: encode::resource_type(topic.kind).into(),
            scope: topic.scope.as_str().to_owned(),
            name: name.to_string(),
            version: content.version.to_string(),
            body: None,
        };
    };
    match keys {
        PrivateKeys::Shown => {
            encode::readable_with_private_keys(topic, name, content.version, &resource)
        }
        PrivateKeys::Hidden => encode::readable(topic, name, content.version, &resource),
    }
}

/// The topics that were asked for; `default` for none.
pub(crate) fn topics(asked: &[v1::Topic], default: &[Topic]) -> Result<Vec<Topic>, Status> {
    if asked.is_empty() {
        return Ok(default.to_vec());
    }
    let asked: Vec<_> = asked.iter().map(hello::topic).collect::<Result<_, _>>()?;
    Ok(TOPICS
        .into_iter()
        .filter(|topic| asked.contains(topic))
        .collect())
}
