//! What the tree itself must hold to: which crate may know which, and that every source file is compiled and introduced.
#![cfg(test)]

mod layers;
mod sources;

use std::path::Path;

/// The root of the work tree.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the work tree")
}
