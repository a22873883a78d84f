//! Programs that tests run: `meshlite`, as it was built with them, and what `make tools` installs.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// `meshlite` beside these tests. None, and said aloud, where it is missing or older than its sources; in CI that is a
/// failure.
pub fn meshlite() -> Option<PathBuf> {
    let tests = env::current_exe().ok()?;
    let program = tests.ancestors().nth(2)?.join("meshlite");
    there(is_current(&program), "meshlite: cargo build -p meshlite").then_some(program)
}

/// A tool from where `make tools` puts it, else from PATH; as [`meshlite`] where there is none.
pub fn tool(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = [root.join(".cache/bin")]
        .into_iter()
        .chain(env::split_paths(&path));
    let program = folders
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    there(program.is_some(), &format!("{name}: make tools"));
    program
}

#[expect(
    clippy::print_stderr,
    reason = "a test that is not run is said to whoever runs it"
)]
fn there(is_there: bool, what: &str) -> bool {
    if !is_there {
        eprintln!("NOT RUN: there is no current {what}");
        assert!(env::var_os("CI").is_none(), "CI must run this test");
    }
    is_there
}

/// Whether a program is as new as all that cargo says it was made of.
fn is_current(program: &Path) -> bool {
    let made = |path: &Path| fs::metadata(path)?.modified();
    let Ok(built) = made(program) else {
        return false;
    };
    let sources = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let mut sources = sources.split_whitespace().skip(1);
    sources.all(|source| made(Path::new(source)).unwrap_or(SystemTime::UNIX_EPOCH) <= built)
}
