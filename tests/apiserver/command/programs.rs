//! The real programs of people: `meshlite`, as it was built with these tests, and grpcurl.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::SystemTime,
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

/// `meshlite` beside these tests. None, and said aloud, where it is missing or older than its sources; in CI that is a
/// failure.
pub(crate) fn meshlite() -> Option<PathBuf> {
    let tests = env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("meshlite");
    there(is_current(&program), "meshlite: cargo build -p meshlite").then_some(program)
}

/// grpcurl from where `make tools` puts it, else from PATH; as [`meshlite`] where there is none.
pub(super) async fn grpcurl() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let cached = root.join(".cache/bin/grpcurl");
    let program = if cached.exists() {
        cached
    } else {
        PathBuf::from("grpcurl")
    };
    let answer = Command::new(&program).arg("-version").output().await;
    there(answer.is_ok(), "grpcurl: make tools").then_some(program)
}

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
