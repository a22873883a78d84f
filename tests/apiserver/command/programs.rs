//! The real programs of people, while they run and once they have ended.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use meshlite_tests::apiserver::eventually;
use serde_json::Value;
use tokio::process::{Child, Command};

/// What a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a program to its end.
pub(crate) async fn run(program: &Path, args: &[&str]) -> Said {
    let output = Command::new(program).args(args).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said {
        status: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A plane of `meshlite` that runs until this is dropped.
pub(super) struct Plane {
    child: Child,
    log: PathBuf,
}

impl Plane {
    /// Starts it; what it logs goes to a file.
    pub(super) fn start(program: &Path, args: &[&str], log: PathBuf) -> Self {
        let child = Command::new(program)
            .args(args)
            .args(["--log-format=json", "--log-level=trace"])
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// A field of the first event with this message, once there is one.
    pub(super) async fn said(&self, message: &str, field: &str) -> String {
        eventually(message, async || {
            let logged = self.logged();
            let events = logged
                .lines()
                .map_while(|line| serde_json::from_str(line).ok());
            let mut events = events.filter(|event: &Value| event["message"] == message);
            match events.next() {
                Some(event) => Ok(event[field].as_str().unwrap_or_default().to_owned()),
                None => Err(tail(&logged)),
            }
        })
        .await
    }

    /// All that it has logged so far.
    pub(super) fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Ends it; gives all that it logged.
    pub(super) async fn kill(mut self) -> String {
        self.child.kill().await.unwrap();
        self.logged()
    }
}

fn tail(logged: &str) -> String {
    let lines: Vec<_> = logged.lines().rev().take(10).collect();
    lines.join("\n")
}
