//! A stream of which a test sees every message.

use meshlite_proto::{
    connect::{Security, connect},
    encode,
    v1::{
        self, discovery_request, discovery_response::Kind,
        snapshot_discovery_client::SnapshotDiscoveryClient,
    },
};
use meshlite_snapshot::Topic;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// An open stream. It acknowledges nothing.
pub(crate) struct Stream {
    _requests: mpsc::Sender<v1::DiscoveryRequest>,
    responses: Streaming<v1::DiscoveryResponse>,
}

impl Stream {
    /// Opens one as a node of this name or in another role, for these topics.
    pub(crate) async fn open(
        url: &str,
        security: &Security,
        role: v1::Role,
        node: &str,
        topics: &[Topic],
    ) -> Result<Self, Status> {
        let connected = connect(url, security).await;
        let connected = connected.map_err(|error| Status::unavailable(error.to_string()))?;
        let subscription = |topic: &Topic| v1::Subscription {
            topic: Some(encode::topic(*topic)),
            ..v1::Subscription::default()
        };
        let hello = v1::Hello {
            client: Some(v1::ClientIdentity {
                id: format!("{node}-raw"),
                node_name: node.to_owned(),
                ..v1::ClientIdentity::default()
            }),
            role: role.into(),
            subscriptions: topics.iter().map(subscription).collect(),
            ..v1::Hello::default()
        };
        let (requests, outgoing) = mpsc::channel(4);
        let kind = Some(discovery_request::Kind::Hello(hello));
        let request = v1::DiscoveryRequest { kind };
        requests.send(request).await.expect("there is room");
        let mut client = SnapshotDiscoveryClient::new(connected);
        let opened = client
            .stream_snapshots(ReceiverStream::new(outgoing))
            .await?;
        Ok(Self {
            _requests: requests,
            responses: opened.into_inner(),
        })
    }

    /// The next message; none where the stream ended in order.
    pub(crate) async fn next(&mut self) -> Result<Option<Kind>, Status> {
        let message = self.responses.message().await?;
        Ok(message.and_then(|message| message.kind))
    }
}
