//! A terminal with one command on it: that of script(1), whose keys and screen are pipes.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
};

use tokio::time::Instant;

use super::PATIENCE;

/// A terminal, until it is dropped.
pub(super) struct Screen {
    script: Child,
    keys: ChildStdin,
    pieces: Receiver<Vec<u8>>,
    shown: String,
    /// What has been waited for ends here.
    seen: usize,
    folder: tempfile::TempDir,
}

impl Screen {
    /// Runs `meshlite` with these words of a shell, which may name the file `$ERRORS`. None, and said aloud, where there is no
    /// script(1); in CI that is a failure.
    pub(super) fn run(words: &str, environment: &[(&str, &str)]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let started = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command"])
            // What a shell starts in the background ignores Ctrl-C, and whatever is started by that.
            .arg(format!("env --default-signal=INT \"$PROGRAM\" {words}"))
            .arg("/dev/null")
            .env_remove("NO_COLOR")
            .envs([("TERM", "xterm"), ("SHELL", "/bin/sh")])
            .env("PROGRAM", env!("CARGO_BIN_EXE_meshlite"))
            .env("ERRORS", folder.path().join("errors"))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut script) = started else {
            eprintln!("NOT RUN: there is no script: make tools");
            assert!(env::var_os("CI").is_none(), "CI must run this test");
            return None;
        };
        let keys = script.stdin.take().unwrap();
        let mut screen = script.stdout.take().unwrap();
        let (send, pieces) = mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut piece) {
                send.send(piece[..length].to_vec()).ok();
            }
        });
        Some(Self {
            script,
            keys,
            pieces,
            shown: String::new(),
            seen: 0,
            folder,
        })
    }

    /// What was written to `$ERRORS`.
    pub(super) fn errors(&self) -> String {
        fs::read_to_string(self.folder.path().join("errors")).unwrap()
    }

    pub(super) fn press(&mut self, key: u8) {
        self.keys.write_all(&[key]).unwrap();
    }

    /// Waits until this is shown, after what was waited for before.
    pub(super) fn until(&mut self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, rest) = self.shown.split_at(self.seen);
            if let Some(at) = rest.find(words) {
                self.seen += at + words.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(piece) = self.pieces.recv_timeout(left) else {
                panic!("no {words:?} in {rest:?}");
            };
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    /// Waits until the command has ended: all that was shown, and its exit status as a shell says it.
    pub(super) fn end(&mut self) -> (String, Option<i32>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.shown.push_str(&String::from_utf8_lossy(&piece)),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it goes on: {:?}", self.shown),
            }
        }
        let status = self.script.wait().unwrap();
        (self.shown.clone(), status.code())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.script.kill().ok();
        self.script.wait().ok();
    }
}
