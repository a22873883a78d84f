//! A client of the control plane, as a node is one: it says when a change is there, and that nothing was ever taken away.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use meshlite_proto::{
    connect::{Ca, Credentials, Security, Tls},
    subscribe::{ClientConfig, Commit, Subscription, subscribe},
    v1,
};
use meshlite_snapshot::Topic;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::objects::{node_name, slice_name};

/// How long a change is waited for.
const LIMIT: Duration = Duration::from_mins(2);

/// A subscription that holds everything.
pub(crate) struct Follower(Subscription);

impl Follower {
    /// Connects, and returns when it holds so many Services. The folder has `ca.crt` and `token`.
    pub(crate) async fn connect(folder: &Path, port: u16, services: u32) -> anyhow::Result<Self> {
        let ca = Ca::File(folder.join("ca.crt"));
        let token = Credentials::TokenFile(folder.join("token"));
        let config = ClientConfig {
            endpoints: vec![format!("https://127.0.0.1:{port}")],
            identity: v1::ClientIdentity {
                node_name: node_name(0),
                ..v1::ClientIdentity::default()
            },
            role: v1::Role::L4Node,
            topics: Topic::NODE.to_vec(),
            security: Security::Tls(Tls::new(ca, token)),
            cache: None,
        };
        let mut follower = Self(subscribe(config, CancellationToken::new()));
        let first = follower.next().await?;
        let held = first.snapshot().services.len();
        first.acknowledge();
        ensure!(
            held >= usize::try_from(services)?,
            "the first commit has {held} Services of {services}"
        );
        Ok(follower)
    }

    /// Waits until the slice of this Service is other than before.
    pub(crate) async fn changed(&mut self, number: u32) -> anyhow::Result<()> {
        let slice = slice_name(number);
        loop {
            let commit = self.next().await?;
            let changes = commit.changes();
            let taken = changes.iter().find(|change| change.removed);
            ensure!(taken.is_none(), "{taken:?} was taken away");
            let is_there = changes
                .iter()
                .any(|change| change.name.as_str().ends_with(&slice));
            commit.acknowledge();
            if is_there {
                return Ok(());
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<Commit> {
        if let Ok(commit) = timeout(LIMIT, self.0.next()).await {
            return commit.context("the subscription has ended");
        }
        let status = self.0.status();
        let status = status.borrow();
        anyhow::bail!("no commit within {LIMIT:?}; the client: {status:?}")
    }
}
