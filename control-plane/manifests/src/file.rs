//! What one manifest file holds.

use std::collections::BTreeMap;

use meshlite_snapshot::{Finding, Severity, SourceLocation};

use crate::Object;

/// The objects of one file, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManifestFile {
    /// The file, relative to the folder that was named.
    pub path: String,
    /// The good objects, in the order of the file: validated one by one and defaulted.
    pub objects: Vec<Located>,
    /// What is wrong, each with its source, in the order of the file.
    pub findings: Vec<Finding>,
    /// Documents of kinds that Meshlite does not serve, by kind.
    pub skipped: BTreeMap<String, u32>,
}

/// An object and where it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The document it was read from.
    pub source: SourceLocation,
    /// The object.
    pub object: Object,
}

impl ManifestFile {
    /// Whether every document of the file can be served. Warnings do not make a file bad.
    pub fn is_good(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity != Severity::Error)
    }
}
