//! Manifests compiled once, without a server.

use std::{collections::BTreeMap, io, path::PathBuf};

use meshlite_compile::{Compiled, Settings};
use meshlite_snapshot::Finding;

use crate::{
    SourceConfig,
    pipeline::{Meaning, mean},
    watch::files::{AllocationStore, read_once},
};

/// What a control plane with this source would serve.
#[derive(Clone, Debug)]
pub struct OneShot {
    /// Every resource.
    pub compiled: Compiled,
    /// Everything that is wrong with the input, sorted, with sources.
    pub findings: Vec<Finding>,
    /// Documents of kinds that Meshlite does not serve, by kind.
    pub skipped: BTreeMap<String, u32>,
}

/// Why a source cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the messages say it; the fields are where and why"
)]
pub enum SourceError {
    #[error("--manifests {}: {error}", path.display())]
    Manifests { path: PathBuf, error: io::Error },
    #[error("--state-dir {}: {error}", path.display())]
    StateDir { path: PathBuf, error: io::Error },
    #[error("only manifests are compiled without a server; give --manifests")]
    NoManifests,
}

/// Reads and compiles the manifests as a control plane would, with the allocations that its state folder holds.
/// Writes nothing and runs no Pods. Blocks.
pub fn compile_once(source: &SourceConfig, settings: &Settings) -> Result<OneShot, SourceError> {
    let SourceConfig::Files {
        manifests,
        state_dir,
        admit,
        pods: _,
    } = source
    else {
        return Err(SourceError::NoManifests);
    };
    let loaded = read_once(manifests).map_err(|error| SourceError::Manifests {
        path: manifests.clone(),
        error,
    })?;
    let allocations =
        AllocationStore::peek(state_dir.as_deref()).map_err(|error| SourceError::StateDir {
            path: state_dir.clone().unwrap_or_default(),
            error,
        })?;
    let Meaning {
        compiled,
        mut findings,
        allocations: _,
        skipped,
        compile_time: _,
    } = mean(&loaded.files, &allocations, admit, &[], settings);
    findings.extend(loaded.findings);
    findings.sort();
    Ok(OneShot {
        compiled,
        findings,
        skipped,
    })
}
