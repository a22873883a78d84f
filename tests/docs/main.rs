//! The documentation, run: every command of every page, as a reader would type it.
//!
//! ```text
//! README.md, docs/*.md, deploy/README.md ─> blocks ─> a shell in namespaces of its own ─┬─> what failed
//!                                                     (stand-ins for clusters)          └─> output that differs
//! ```
//!
//! Input: the pages and `make tools`. Output: one result for each page. What a fence says decides what becomes of a block:
//!
//! | fence | |
//! |---|---|
//! | `sh` | run, one after another, in one shell for each page, in a folder like a fresh clone; each command must succeed, or `# exits with N` |
//! | `sh background` | one command that goes on running until the page ends: a terminal of its own |
//! | `sh cluster`, `sh by-hand` | needs a cluster, or a whole machine: run with stand-ins that only judge the arguments |
//! | `text output` | what the block before prints; see `output.rs` for what is tolerated |
//! | `yaml`, `json` | must be that |
//! | `text` | a picture |
//!
//! Any other fence fails.
#![expect(clippy::expect_used, reason = "a test ends there if it fails")]

mod links;
mod output;
mod page;
mod session;
mod stand_ins;
mod walk;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut trials = vec![
        Trial::test("output_that_differs_is_seen", output::check),
        Trial::test("links_lead_somewhere", || links::check(&pages())),
    ];
    trials.extend(pages().into_iter().map(|page| {
        let name = format!("page::{}", page.display());
        Trial::test(name, move || walk::walk(&page))
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The root of the work tree.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the work tree")
}

/// Every page, from the root.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("docs is readable");
    let docs = docs.map(|entry| Path::new("docs").join(entry.expect("an entry").file_name()));
    let mut pages: Vec<_> = ["README.md", "deploy/README.md"]
        .map(PathBuf::from)
        .into_iter()
        .chain(docs.filter(|path| path.extension().is_some_and(|e| e == "md")))
        .collect();
    pages.sort();
    pages
}
