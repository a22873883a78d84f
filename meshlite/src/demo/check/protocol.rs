//! The protocol: reflection, readable snapshots, and proof that both data planes hold what is served.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use meshlite_proto::v1::{
    FetchSnapshotRequest, fetch_snapshot_response::Kind,
    snapshot_discovery_client::SnapshotDiscoveryClient,
};
use meshlite_proto::{decode, encode};
use meshlite_snapshot::Topic;
use tonic::transport::{Channel, Endpoint};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::{
    super::status::{self, eventually},
    Checks,
    world::World,
};

pub(super) async fn check(checks: &mut Checks) -> anyhow::Result<()> {
    checks
        .check(
            "grpc reflection lists and describes the services",
            reflection,
        )
        .await?;
    checks
        .check(
            "FetchSnapshot's digests equal what node and ingress report as installed",
            digests,
        )
        .await
}

async fn channel(world: &World) -> anyhow::Result<Channel> {
    Ok(
        Endpoint::from_shared(format!("http://{}", world.mesh.layout.grpc))?
            .connect()
            .await?,
    )
}

async fn reflection(world: &mut World) -> anyhow::Result<()> {
    let channel = channel(world).await?;
    let MessageResponse::ListServicesResponse(list) =
        reflect(&channel, MessageRequest::ListServices(String::new())).await?
    else {
        bail!("another answer than a list of services");
    };
    let names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for wanted in [
        "meshlite.discovery.v1.SnapshotDiscovery",
        "meshlite.discovery.v1.SnapshotStatus",
        "grpc.health.v1.Health",
    ] {
        ensure!(
            names.iter().any(|name| name == wanted),
            "{wanted} is not among {names:?}"
        );
    }
    let symbol = "meshlite.discovery.v1.SnapshotDiscovery".to_owned();
    match reflect(&channel, MessageRequest::FileContainingSymbol(symbol)).await? {
        MessageResponse::FileDescriptorResponse(files) => {
            ensure!(
                !files.file_descriptor_proto.is_empty(),
                "no file describes the service"
            );
            Ok(())
        }
        other => bail!("another answer than a description: {other:?}"),
    }
}

async fn reflect(channel: &Channel, question: MessageRequest) -> anyhow::Result<MessageResponse> {
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let mut client = ServerReflectionClient::new(channel.clone());
    let answers = client
        .server_reflection_info(futures_util::stream::iter([question]))
        .await?;
    let answer = answers.into_inner().message().await?.context("no answer")?;
    answer.message_response.context("an empty answer")
}

async fn digests(world: &mut World) -> anyhow::Result<()> {
    let layout = &world.mesh.layout;
    let planes = [
        ("the node", layout.node_metrics, &Topic::NODE[..]),
        ("the ingress", layout.ingress_admin, &Topic::INGRESS[..]),
    ];
    for (plane, admin, topics) in planes {
        eventually(async || {
            let served = served(world, topics).await?;
            let installed = status::installed(admin).await?;
            ensure!(
                installed == served,
                "{plane} has {installed:?}, the control plane serves {served:?}"
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The digest of each topic, as FetchSnapshot ends with.
async fn served(world: &World, topics: &[Topic]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut client = SnapshotDiscoveryClient::new(channel(world).await?);
    let request = FetchSnapshotRequest {
        topics: topics.iter().copied().map(encode::topic).collect(),
    };
    let mut stream = client.fetch_snapshot(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if let Some(Kind::End(end)) = message.kind {
            let digest = |message| {
                let (topic, digest, _) = decode::topic_digest(message)?;
                Ok((topic.to_string(), digest.to_string()))
            };
            return end.expected.iter().map(digest).collect();
        }
    }
    bail!("the stream ended before the snapshot was complete")
}
