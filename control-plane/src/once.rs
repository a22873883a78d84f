//! Manifests compiled once, without a server.

use std::{collections::BTreeMap, io, path::PathBuf};

use meshlite_compile::{Compiled, Settings, compile};
use meshlite_manifests::admit::{Admitted, admit};
use meshlite_snapshot::Finding;

use crate::{
    SourceConfig,
    pipeline::files::all_findings,
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
        admit: admission,
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
    let Admitted {
        inputs,
        findings,
        allocations: _,
        sources,
        skipped,
    } = admit(&loaded.files, &allocations, admission, &[]);
    let compiled = compile(&inputs, settings);
    let by_compiler = compiled.findings.iter().cloned();
    let mut findings = all_findings(&loaded.files, findings, by_compiler, &sources);
    findings.extend(loaded.findings);
    findings.sort();
    Ok(OneShot {
        compiled,
        findings,
        skipped,
    })
}
