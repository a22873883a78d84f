//! Manifests in, objects and findings out: what an API server would do with a folder of YAML.
//!
//! ```text
//! bytes of a file ─> documents ─> typed objects ─> validate ─> ManifestFile ─> admit ─> compile::Inputs + findings
//! ```
//!
//! Input: the bytes of YAML or JSON files. Output: one [`ManifestFile`] for each ([`parse()`]), and what all of them
//! mean together ([`admit`]). Nothing is read from disk here, and no input makes it panic: a bad document is a
//! [`meshlite_snapshot::Finding`] that names file, document, line, object and field, and never affects the good ones.

pub mod admit;
pub mod validate;

mod convert;
mod document;
mod file;
mod hints;
mod merge;
mod object;
mod parse;
mod plain;
mod problem;
mod unknown;

pub use document::{Document, documents};
pub use file::{Located, ManifestFile};
pub use object::Object;
pub use parse::{parse, parse_all};
pub use problem::Problem;
