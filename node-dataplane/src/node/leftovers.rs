//! Which backends may have left something on this node, by the one that is used.

use std::{sync::Arc, time::Duration};

use tokio::task::{JoinError, spawn_blocking};
use tracing::info;

use crate::{
    Config,
    kernel::{KernelError, ipvs, rules},
    mode::Backend,
    program::leftovers::{Leftovers, Retire},
};

/// What other backends left here. To be called before anything is programmed.
pub(super) async fn find(backend: Backend, config: &Config) -> Option<Leftovers> {
    let is_other_than_ipvs = matches!(backend, Backend::Nftables | Backend::Userspace);
    // A proxy for loopback only may stand beside a node's own.
    if config.loopback_only || !is_other_than_ipvs {
        return None;
    }
    let mut retire = Vec::new();
    let mut options = ipvs::Options::from(config);
    if backend == Backend::Userspace {
        // What the kernel balances, even to nobody, does not come to this process.
        options.drain_timeout = Duration::ZERO;
    }
    match ipvs::Leftovers::find(options).await {
        Ok(Some(found)) => retire.push(virtual_servers(found, backend)),
        Ok(None) => {}
        Err(error) => info!(%error, "what IPVS may have of an earlier run cannot be looked for"),
    }
    // Backends in the kernel share it, and the one that is used has made it its own.
    if backend == Backend::Userspace {
        retire.push(table());
    }
    Leftovers::new(retire)
}

/// Virtual servers of IPVS, with the connections that they have. They serve until they are looked at again: a packet that
/// had passed the rules when these changed is still on its way to them. In user space there is a listener for it.
fn virtual_servers(found: ipvs::Leftovers, backend: Backend) -> Retire {
    let found = Arc::new(found);
    let mut may_go = backend == Backend::Userspace;
    Box::new(move || {
        let found = Arc::clone(&found);
        let may_go = std::mem::replace(&mut may_go, true);
        Box::pin(async move { Ok(may_go && found.tend().await?) })
    })
}

/// The nft table: no connection comes to it any more before it goes, or one that begins just then would lose its translation.
fn table() -> Retire {
    let mut is_closed = false;
    Box::new(move || {
        let was_closed = std::mem::replace(&mut is_closed, true);
        Box::pin(async move {
            let let_go = move || {
                if was_closed {
                    rules::remove().map(|_was_there| true)
                } else {
                    rules::close().map(|was_there| !was_there)
                }
            };
            let ended = |error: JoinError| KernelError::Retry(error.to_string());
            spawn_blocking(let_go).await.map_err(ended)?
        })
    })
}
