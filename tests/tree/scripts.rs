//! Every program that a person may start here says what it does and how it is called, and then does nothing.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use meshlite_tests::programs::tool;

use super::root;

/// Where such programs are.
const FOLDERS: [&str; 5] = [
    "deploy/image",
    "tests/apiserver",
    "tests/bench",
    "tests/tools",
    "tests/vm",
];

/// All that it takes to say it. What it takes to do anything else is not found.
const NEEDED: [&str; 4] = ["bash", "dirname", "env", "sed"];

#[test]
fn every_script_answers_help_and_does_nothing_else() {
    let few = Path::new(env!("CARGO_TARGET_TMPDIR")).join("help");
    if few.exists() {
        fs::remove_dir_all(&few).expect("removed");
    }
    fs::create_dir_all(&few).expect("made");
    for name in NEEDED {
        let found = tool(name).unwrap_or_else(|| panic!("{name} is not on PATH"));
        symlink(found, few.join(name)).expect("linked");
    }
    let all = scripts();
    assert!(all.len() > 10, "only {all:?}");
    for script in all {
        let name = script.strip_prefix(root()).expect("in the tree").display();
        let output = Command::new(&script)
            .arg("--help")
            .env("PATH", &few)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains(&format!("Usage: {name}")),
            "{name} --help: {}\n{said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
        );
    }
}

fn scripts() -> Vec<PathBuf> {
    let entries = FOLDERS.iter().flat_map(|folder| {
        let entries = fs::read_dir(root().join(folder)).expect("readable");
        entries.map(|entry| entry.expect("an entry").path())
    });
    let is_executable = |path: &PathBuf| {
        let metadata = path.metadata().expect("there");
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    };
    entries.filter(is_executable).collect()
}
