//! Every source file opens with a sentence, is part of a crate, and has a size that can be read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::root;

/// Lines of a file before its tests; past this a file must be split.
const HARD_CEILING: usize = 600;

/// Every Rust file below these folders of the work tree.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [
        "proto",
        "control-plane",
        "node-dataplane",
        "ingress",
        "meshlite",
        "tests",
    ] {
        walk(&root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "only {} source files found", found.len());
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder is readable") {
        let path = entry.expect("entry is readable").path();
        if path.is_dir() {
            if !path.ends_with("target") {
                walk(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|path| !read(path).starts_with("//! "))
        .collect();
    assert!(
        silent.is_empty(),
        "no //! sentence on the first line: {silent:#?}"
    );
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|path| {
            (
                read(&path)
                    .lines()
                    .take_while(|line| *line != "#[cfg(test)]")
                    .count(),
                path,
            )
        })
        .filter(|(lines, path)| *lines > HARD_CEILING && !path.ends_with("tests.rs"))
        .collect();
    assert!(
        long.is_empty(),
        "more than {HARD_CEILING} lines without tests: {long:#?}"
    );
}

#[test]
fn every_file_is_compiled() {
    let orphans: Vec<_> = sources()
        .into_iter()
        .filter(|path| !is_root(path) && !is_declared(path))
        .collect();
    assert!(
        orphans.is_empty(),
        "no `mod` line names these files, so they are not compiled: {orphans:#?}"
    );
}

/// Crate roots, and what cargo finds or is told of by itself.
fn is_root(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let folder = path
        .parent()
        .and_then(Path::file_name)
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    matches!(name, "lib.rs" | "main.rs" | "build.rs")
        || matches!(
            folder,
            "tests" | "examples" | "benches" | "bin" | "fuzz_targets"
        )
        || manifest_names(path)
}

/// Whether the crate's Cargo.toml has the file as a `path`.
fn manifest_names(path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(root()))
        .any(|folder| {
            let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
                return false;
            };
            path.strip_prefix(folder)
                .is_ok_and(|p| manifest.contains(&format!("path = \"{}\"", p.display())))
        })
}

/// Whether the parent module has a `mod` line for the file: `foo.rs`, `main.rs`, `lib.rs` or `mod.rs` beside or above.
fn is_declared(path: &Path) -> bool {
    let stem = path
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or_default();
    let folder = path.parent().expect("a file has a folder");
    let (module, home) = if stem == "mod" {
        (
            folder
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default(),
            folder.parent(),
        )
    } else {
        (stem, Some(folder))
    };
    let Some(home) = home else { return false };
    let by_name = home.with_extension("rs");
    let candidates = ["lib.rs", "main.rs", "mod.rs"]
        .map(|n| home.join(n))
        .into_iter()
        .chain([by_name]);
    let declares = |file: PathBuf| {
        fs::read_to_string(file).is_ok_and(|text| {
            text.lines()
                .map(str::trim)
                .any(|line| line.ends_with(&format!("mod {module};")))
        })
    };
    candidates.into_iter().any(declares) || siblings_declare(home, module)
}

/// Integration tests and examples declare their modules from any root file beside them.
fn siblings_declare(home: &Path, module: &str) -> bool {
    let folder = home
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let roots = if matches!(folder, "tests" | "examples") {
        home
    } else {
        home.parent().unwrap_or(home)
    };
    let Ok(entries) = fs::read_dir(roots) else {
        return false;
    };
    entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| is_test_root(p))
        .any(|p| {
            read(&p)
                .lines()
                .map(str::trim)
                .any(|line| line.ends_with(&format!("mod {module};")))
        })
}

fn is_test_root(path: &Path) -> bool {
    let folder = path
        .parent()
        .and_then(Path::file_name)
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    path.is_file()
        && path.extension().is_some_and(|e| e == "rs")
        && matches!(folder, "tests" | "examples")
}
