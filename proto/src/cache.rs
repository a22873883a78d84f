//! The last good snapshot on the client's disk, so that a data plane starts without a control plane.
//!
//! ```text
//! what is installed ─> pack ─> written beside, then renamed ─> the next start ─> unpack ─> a provisional commit
//! ```
//!
//! Private keys go to a folder of their own, which must be memory. What is read is checked like anything from outside.

mod disk;
mod file;
mod keeper;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

pub(crate) use self::keeper::Keeper;
pub use crate::session::Kept;
pub use file::{Unreadable, pack, unpack};

/// Where the last good snapshot is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The last good snapshot, without private keys. Made if it is not there.
    pub folder: PathBuf,
    /// Private keys: memory (tmpfs or ramfs), else the subscription refuses to start. None: they are kept nowhere.
    pub secrets: Option<PathBuf>,
}

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder cannot be made or looked at.
    #[error("cannot keep snapshots in {}: {error}; make the folder writable or name another", folder.display())]
    #[expect(missing_docs, reason = "the message says it")]
    Folder { folder: PathBuf, error: io::Error },
    /// Private keys would go to a disk.
    #[error(
        "{} is not memory, and private keys are kept nowhere else: name a folder on a tmpfs, such as one in /run or an emptyDir with medium Memory",
        folder.display()
    )]
    #[expect(missing_docs, reason = "the message says it")]
    NotMemory { folder: PathBuf },
}

// === impl Cache ===

impl Cache {
    /// Makes the folders where they are missing, and checks that keys would stay in memory.
    pub fn check(&self) -> Result<(), CacheError> {
        let failed = |folder: &Path| {
            let folder = folder.to_owned();
            move |error| CacheError::Folder { folder, error }
        };
        disk::make(&self.folder).map_err(failed(&self.folder))?;
        if let Some(secrets) = &self.secrets {
            disk::make(secrets).map_err(failed(secrets))?;
            if !disk::is_memory(secrets).map_err(failed(secrets))? {
                let folder = secrets.clone();
                return Err(CacheError::NotMemory { folder });
            }
        }
        Ok(())
    }
}
