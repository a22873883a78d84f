//! The bytes of files to objects and findings.

mod careful;
mod depth;
mod failure;
mod finish;
mod header;
mod kinds;
mod list;
mod locate;
mod parallel;
mod place;
mod quick;

use crate::{ManifestFile, document::documents};

pub(crate) use failure::Failure;
pub use parallel::parse_all;

/// Reads one file. Never panics; what is wrong with a document is a finding.
pub fn parse(path: &str, text: &[u8]) -> ManifestFile {
    let mut file = ManifestFile {
        path: path.to_owned(),
        ..ManifestFile::default()
    };
    for document in documents(text) {
        quick::read(path, &document).add_to(&mut file);
    }
    file
}

#[cfg(test)]
mod tests;
