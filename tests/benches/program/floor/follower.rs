//! A client of a control plane as a node is one, which does one thing for each commit.

use std::net::SocketAddr;

use anyhow::Context as _;
use meshlite_proto::{
    connect::Security,
    subscribe::{ClientConfig, Subscription, subscribe},
    v1,
};
use meshlite_snapshot::Topic;
use tokio_util::sync::CancellationToken;

use crate::objects::NODE;

/// The client, once it has everything.
pub(crate) struct Follower(Subscription);

// === impl Follower ===

impl Follower {
    /// Connects, and waits for the first commit.
    pub(crate) async fn connect(control_plane: SocketAddr) -> anyhow::Result<Self> {
        let config = ClientConfig {
            endpoints: vec![format!("http://{control_plane}")],
            identity: v1::ClientIdentity {
                node_name: NODE.to_owned(),
                ..v1::ClientIdentity::default()
            },
            role: v1::Role::L4Node,
            topics: Topic::NODE.to_vec(),
            security: Security::Plaintext,
            cache: None,
        };
        let mut follower = Self(subscribe(config, CancellationToken::new()));
        follower.next(|| Ok(())).await?;
        Ok(follower)
    }

    /// Waits for the next commit, and does something at once.
    pub(crate) async fn next<T>(
        &mut self,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let commit = self.0.next().await;
        let commit = commit.context("the subscription has ended")?;
        let done = work();
        commit.acknowledge();
        done
    }
}
