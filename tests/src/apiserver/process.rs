//! One server as a process: its log, its signals, and its end.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use super::Error;

/// Lines of a log that an error shows.
const TAIL: usize = 15;

/// A running server. Dropped, it is killed at once, as by a power failure.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    pid_file: PathBuf,
}

impl Process {
    /// Starts a program whose log and pid are files of `folder`.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        folder: &Path,
    ) -> Result<Self, Error> {
        let log = folder.join(format!("{name}.log"));
        let spawn = || -> io::Result<Child> {
            let out = File::options().create(true).append(true).open(&log)?;
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(out.try_clone()?)
                .stderr(out)
                // Ctrl-C is for the test, which then ends its servers in its own way.
                .process_group(0)
                .spawn()
        };
        let child = spawn().map_err(|error| Error::NotStarted(name, error))?;
        let process = Self {
            name,
            pid_file: folder.join(format!("{name}.pid")),
            child,
            log,
        };
        fs::write(&process.pid_file, process.child.id().to_string()).map_err(Error::Folder)?;
        Ok(process)
    }

    /// Fails with the end of its log where the process has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(error) => Err(Error::NotStarted(self.name, error)),
        }
    }

    fn ended(&self, status: ExitStatus) -> Error {
        Error::Ended {
            name: self.name,
            status,
            log: self.tail(),
        }
    }

    /// The last lines of its log.
    pub(super) fn tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Sends a signal that the process outlives.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap_or(i32::MAX));
        signal::kill(pid, signal).map_err(|error| Error::NotStarted(self.name, error.into()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The file first: the guardian must not kill a pid that is another's by then.
        fs::remove_file(&self.pid_file).ok();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
