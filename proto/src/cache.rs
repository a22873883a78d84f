//! The last good snapshot on the client's disk, so that a data plane starts without a control plane.

use std::path::PathBuf;

/// Where the last good snapshot is kept.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The last good snapshot, without private keys. Made if it is not there.
    pub folder: PathBuf,
    /// Private keys: memory (tmpfs or ramfs), else the subscription refuses to start. None: they are kept nowhere.
    pub secrets: Option<PathBuf>,
}
