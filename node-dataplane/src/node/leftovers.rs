//! Which backends may have left something on this node, by the one that is used.

use tokio::task::spawn_blocking;

use crate::{
    Config,
    kernel::{KernelError, rules},
    mode::Backend,
    program::leftovers::{Leftovers, Retire},
};

/// What other backends left here. To be called before anything is programmed.
pub(super) async fn find(backend: Backend, config: &Config) -> Option<Leftovers> {
    // A proxy for loopback only may stand beside a node's own.
    if config.loopback_only {
        return None;
    }
    match backend {
        Backend::Memory => None,
        Backend::Userspace => Leftovers::new(vec![table()]),
    }
}

/// The nft table, which every kernel backend has.
fn table() -> Retire {
    Box::new(|| {
        Box::pin(async {
            let removed = spawn_blocking(rules::remove).await;
            let ended = |error: tokio::task::JoinError| KernelError::Retry(error.to_string());
            removed.map_err(ended)?.map(|_was_there| true)
        })
    })
}
