//! A test that does not end: says what every thread of it waits for, and ends this program, for nothing else can be done.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use meshlite_tests::soak::soaked;
use nix::unistd::getpgrp;
use tokio::time::Instant;

/// More than any test takes: what it waits for has deadlines of two minutes, kube-proxy one of eight.
pub(crate) fn limit() -> Duration {
    Duration::from_mins(soaked(10, 60))
}

/// The tests that are running, and when each began.
static RUNNING: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

struct Running<'a>(&'a str);

fn running() -> MutexGuard<'static, BTreeMap<String, Instant>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        running().remove(self.0);
    }
}

/// Runs a test, which has to end in time where [`watch`] was called.
pub(crate) fn watched(name: &str, test: impl FnOnce()) {
    running().insert(name.to_owned(), Instant::now());
    let _running = Running(name);
    test();
}

/// Looks after the tests from now on.
#[expect(
    clippy::disallowed_methods,
    clippy::exit,
    clippy::print_stderr,
    reason = "the end of this program, from a thread of its own"
)]
pub(crate) fn watch() {
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_secs(1));
            if let Some(name) = late() {
                let seconds = limit().as_secs();
                eprintln!(
                    "{name}: not done after {seconds} s. Its threads:\n{}",
                    threads()
                );
                process::exit(1);
            }
        }
    });
}

fn late() -> Option<String> {
    let running = running();
    let late = running.iter().find(|(_, began)| began.elapsed() > limit());
    late.map(|(name, _)| name.clone())
}

/// What each thread of this test and of the programs that it started waits for, and each that cannot be interrupted.
fn threads() -> String {
    let mut said = String::new();
    let mut processes = entries(Path::new("/proc"));
    // The one that asks is there under its name as well.
    processes.retain(|process| !process.is_symlink());
    for thread in processes.iter().flat_map(|it| entries(&it.join("task"))) {
        let read = |file| fs::read_to_string(thread.join(file)).unwrap_or_default();
        let stat = read("stat");
        // The name may hold anything; what follows is the state, the parent and the process group.
        let Some((name, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let mut fields = rest.split(' ');
        let (state, group) = (fields.next().unwrap_or_default(), fields.nth(1));
        if state == "D" || group == Some(&getpgrp().to_string()) {
            writeln!(said, "{name}) {state}\n{}", read("stack")).ok();
        }
    }
    said
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
