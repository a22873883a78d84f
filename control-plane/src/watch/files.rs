//! The file source: a file or folder of manifests, polled, read once what changed has settled.

mod folder;
mod reader;
mod scan;
mod state;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinError, time::Instant};
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    reader::{Loaded, Reader, read_once},
    state::AllocationStore,
};

use super::Sources;
use crate::clock;

/// How often the folder is looked at.
const POLL: Duration = Duration::from_millis(100);
/// A look may take one part in so many of the time.
const SHARE: u32 = 10;

/// Where the pipeline finds what is loaded; nothing until all files were read once.
pub(crate) type Loads = watch::Receiver<Option<Arc<Loaded>>>;

/// Looks at the folder until `stop` and hands over what it holds whenever that changes.
pub(crate) async fn watch(
    mut reader: Reader,
    loads: watch::Sender<Option<Arc<Loaded>>>,
    sources: Sources,
    stop: CancellationToken,
) -> Result<(), JoinError> {
    let mut version = 0;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let wall = clock::wall();
        let look = tokio::task::spawn_blocking(move || {
            let loaded = reader.look(started, wall);
            (reader, loaded)
        });
        let loaded;
        (reader, loaded) = look.await?;
        if let Some(loaded) = loaded {
            version += 1;
            loads.send_replace(Some(Arc::new(loaded)));
        }
        if version > 0 && reader.is_reachable() {
            sources.seen("manifests", version, started);
        }
        let pause = POLL.max(started.elapsed() * SHARE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}
