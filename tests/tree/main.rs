//! What the tree itself must hold to: which crate may know which, that every source file is compiled and introduced, and
//! that every script says what it is for.
#![cfg(test)]

mod layers;
mod scripts;
mod sources;

use std::path::Path;

/// The root of the work tree.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the work tree")
}
