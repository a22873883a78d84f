//! Requests that go on while something changes.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{bail, ensure};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::client;

/// Clients that ask one after another until they are told to stop.
#[derive(Debug)]
pub(super) struct Load {
    stop: CancellationToken,
    clients: JoinSet<()>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    answers: u32,
    pods: BTreeSet<String>,
    failures: Vec<String>,
}

// === impl Load ===

impl Load {
    /// Starts a few clients for each target: address and host.
    pub(super) fn start(targets: &[(SocketAddr, &str)]) -> Self {
        const CLIENTS: usize = 3;
        let (stop, seen) = (CancellationToken::new(), Arc::<Mutex<Seen>>::default());
        let mut clients = JoinSet::new();
        for (addr, host) in targets {
            for _ in 0..CLIENTS {
                let (addr, host) = (*addr, (*host).to_owned());
                let (stop, seen) = (stop.clone(), Arc::clone(&seen));
                clients.spawn(async move {
                    while !stop.is_cancelled() {
                        let answer = client::get(addr, &host, "/").await;
                        let pod = answer.and_then(|answer| Ok(answer.pod()?.to_owned()));
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.answers += 1;
                        match pod {
                            Ok(pod) => drop(seen.pods.insert(pod)),
                            Err(failure) => seen.failures.push(format!("{failure:#}")),
                        }
                    }
                });
            }
        }
        Self {
            stop,
            clients,
            seen,
        }
    }

    /// How many requests were made so far.
    pub(super) fn answers(&self) -> u32 {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answers
    }

    /// Forgets which Pods answered so far, and gives them.
    pub(super) fn take_pods(&self) -> BTreeSet<String> {
        std::mem::take(
            &mut self
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pods,
        )
    }

    /// Waits until this many more requests were made.
    pub(super) async fn more(&self, requests: u32) -> anyhow::Result<()> {
        let target = self.answers() + requests;
        super::super::status::eventually(async || {
            let answers = self.answers();
            ensure!(
                answers >= target,
                "{answers} of {target} requests were made"
            );
            Ok(())
        })
        .await
    }

    /// Stops the clients. Fails if a single request failed.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended?;
        }
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(first) = seen.failures.first() {
            bail!(
                "{} of {} requests failed, the first: {first}",
                seen.failures.len(),
                seen.answers
            );
        }
        Ok(())
    }
}
