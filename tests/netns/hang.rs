//! A test that does not end: says what every thread of it waits for, and ends this program, for nothing else can be done.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use meshlite_tests::soak::soaked;
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

/// The threads of this process and of all that it started, and whatever cannot be interrupted.
fn threads() -> String {
    let ours = ours();
    let mut said = String::new();
    for process in processes() {
        for thread in entries(&Path::new("/proc").join(process.to_string()).join("task")) {
            let read = |file| fs::read_to_string(thread.join(file)).unwrap_or_default();
            let stat = read("stat");
            let Some((name, rest)) = stat.rsplit_once(')') else {
                continue;
            };
            let is_stuck = rest.trim_start().starts_with('D');
            if is_stuck || ours.contains(&process) {
                let state: String = rest.chars().take(2).collect();
                writeln!(said, "{name}){state}\n{}", read("stack")).ok();
            }
        }
    }
    said
}

/// This process and its descendants.
fn ours() -> BTreeSet<u32> {
    let parent = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let mut ours = BTreeSet::from([process::id()]);
    loop {
        let before = ours.len();
        let known = ours.clone();
        ours.extend(
            processes()
                .into_iter()
                .filter(|id| parent(id).is_some_and(|parent| known.contains(&parent))),
        );
        if ours.len() == before {
            return ours;
        }
    }
}

fn processes() -> Vec<u32> {
    let names = entries(Path::new("/proc")).into_iter();
    names
        .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
