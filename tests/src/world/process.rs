//! A program on a host.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use super::{Error, Host};

/// Has the kernel kill the program it becomes when the thread that started it ends.
const SETPRIV: &str = "setpriv";
/// Lines of its log that are shown.
const TAIL: usize = 15;

/// A running program. Dropped, it is killed at once, as by a power failure; so it is when this process ends in whatever
/// way.
#[derive(Debug)]
pub struct Process {
    id: Pid,
    log: Arc<Mutex<Log>>,
    /// Dropped when the process may be forgotten.
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Log {
    lines: Vec<String>,
    ended: bool,
}

impl Host {
    /// Starts a program on this host.
    pub fn start(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Process, Error> {
        let mut command = Command::new(SETPRIV);
        command.args(["--pdeathsig", "KILL"]).arg(program);
        command.args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped());
        let failed = |error| Error::NotStarted(program.display().to_string(), error);
        let namespace = self.namespace().share().map_err(failed)?;
        let (started, starts) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let log = Arc::new(Mutex::default());
        let collected = Arc::clone(&log);
        // The kernel kills the program when the thread that started it ends: so one thread stays as long as it does.
        let thread = thread::spawn(move || {
            namespace.enter();
            match command.spawn() {
                Ok(mut child) => {
                    wait_for_program(child.id());
                    started.send(Ok(child.id())).ok();
                    attend(&mut child, &collected, &ends);
                }
                Err(error) => drop(started.send(Err(error))),
            }
        });
        let started = starts
            .recv()
            .unwrap_or_else(|gone| Err(std::io::Error::other(gone)));
        let id = started.map_err(failed)?;
        Ok(Process {
            id: Pid::from_raw(id.cast_signed()),
            log,
            end: Some(end),
            thread: Some(thread),
        })
    }
}

/// Waits until the process is the program: before that it may outlive this process.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, and no runtime"
)]
fn wait_for_program(id: u32) {
    // One that has ended has none.
    let program = format!("/proc/{id}/exe");
    while fs::read_link(&program).is_ok_and(|program| program.ends_with(SETPRIV)) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Collects what it logs; reaps it when that is wanted, so that its pid is nobody else's before.
fn attend(child: &mut Child, log: &Mutex<Log>, ends: &mpsc::Receiver<()>) {
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            lock(log).lines.push(line);
        }
    }
    lock(log).ended = true;
    ends.recv().ok();
    child.wait().ok();
}

fn lock(log: &Mutex<Log>) -> std::sync::MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Process ===

impl Process {
    /// Its process id.
    pub fn id(&self) -> Pid {
        self.id
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        lock(&self.log).ended
    }

    /// Whether a line of its log contains this.
    pub fn has_logged(&self, text: &str) -> bool {
        lock(&self.log).lines.iter().any(|line| line.contains(text))
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let log = lock(&self.log);
        log.lines[log.lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) {
        signal::kill(self.id, Signal::SIGTERM).ok();
        self.forget();
    }

    /// Lets its thread reap it once it has ended.
    fn forget(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.thread.is_some() {
            signal::kill(self.id, Signal::SIGKILL).ok();
            self.forget();
        }
    }
}
