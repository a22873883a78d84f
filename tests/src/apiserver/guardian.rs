//! Ends the servers of a test that was killed: a shell that waits for the end of its standard input.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::Error;

/// Kills what has a pid file in the folder, and removes the folder, once nobody can write to the shell any more.
/// The test holds the only other end of the pipe, so that is when it drops this, and when it dies in whatever way.
const SCRIPT: &str = r#"read -r _
for file in "$1"/*.pid; do [ -f "$file" ] && kill -KILL "$(cat "$file")"; done
for _ in 1 2 3 4 5; do rm -rf "$1" && break; sleep 0.2; done"#;

/// Owns the folder of an API server.
#[derive(Debug)]
pub(super) struct Guardian {
    folder: PathBuf,
    shell: Child,
}

impl Guardian {
    /// Makes a folder below the system's temporary one, and the shell that will remove it.
    pub(super) fn new() -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix("meshlite-apiserver-")
            .tempdir()
            .map_err(Error::Folder)?
            .keep();
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "guardian"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match shell {
            Ok(shell) => Ok(Self { folder, shell }),
            Err(error) => {
                fs::remove_dir_all(&folder).ok();
                Err(Error::NotStarted("sh", error))
            }
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // `wait` closes the shell's standard input first.
        self.shell.wait().ok();
    }
}
