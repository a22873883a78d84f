//! Pages that are made from code, for the tests that keep them true.
//!
//! ```text
//! what code says ─> text ─> same as the page? | UPDATE_GOLDEN=1 ─> the page
//! ```
//!
//! Input: the path of a page from the root of the repository, and what it must say. Output: a test that fails where it
//! says something else. It depends on nothing, so that every crate can have it.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends there if it fails"
)]

mod metrics;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

pub use metrics::metrics;

/// Fails unless a page says this.
pub fn page(path: &str, text: &str) {
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(of_root(path), text).expect("the page can be written");
    }
    assert!(
        read(path) == text,
        "{path} is not what the code says; UPDATE_GOLDEN=1 writes it"
    );
}

/// Fails unless a folder has these pages, and no others.
pub fn folder(path: &str, pages: &BTreeMap<String, String>) {
    let folder = of_root(path);
    let listed = || -> BTreeSet<String> {
        let entries = fs::read_dir(&folder).into_iter().flatten();
        entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()
    };
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(&folder).expect("the folder can be made");
        for name in listed().iter().filter(|name| !pages.contains_key(*name)) {
            fs::remove_file(folder.join(name)).expect("the page can be removed");
        }
    }
    for (name, text) in pages {
        page(&format!("{path}/{name}"), text);
    }
    let listed = listed();
    let others: Vec<_> = listed
        .iter()
        .filter(|name| !pages.contains_key(*name))
        .collect();
    assert!(
        others.is_empty(),
        "{path} has pages of nothing: {others:?}; UPDATE_GOLDEN=1 removes them"
    );
}

/// Fails unless the rows of a page's table that begin with this cell are these. Others are other tests'.
pub fn rows(path: &str, first: &str, rows: &[String]) {
    let head = format!("| {first} |");
    let is_mine = |line: &&str| line.starts_with(&head);
    let text = read(path);
    let before = text.lines().take_while(|line| !is_mine(line));
    let after: Vec<_> = text.lines().skip_while(|line| !is_mine(line)).collect();
    let after = after.into_iter().filter(|line| !is_mine(line));
    let mine = rows.iter().map(String::as_str);
    let lines: Vec<_> = before.chain(mine).chain(after).collect();
    page(path, &(lines.join("\n") + "\n"));
}

fn read(path: &str) -> String {
    fs::read_to_string(of_root(path)).unwrap_or_default()
}

fn of_root(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.unwrap_or_else(|| panic!("this crate is two folders deep"))
        .join(path)
}
