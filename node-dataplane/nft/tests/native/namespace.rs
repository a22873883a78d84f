//! Network namespaces of the test's own: each is a thread's, and gone with it.

use std::{
    any::Any,
    fs,
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::Command,
    sync::mpsc,
    thread,
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::{Pid, gettid},
};

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace, and a thread in it.
pub(crate) struct Namespace {
    jobs: Option<mpsc::Sender<Job>>,
    pub(crate) thread_id: Pid,
    thread: Option<thread::JoinHandle<()>>,
}

impl Namespace {
    /// A new one, with its loopback up. `None` where this is not allowed, which is said, and fails in CI.
    pub(crate) fn new() -> Option<Self> {
        let (jobs, next) = mpsc::channel::<Job>();
        let (report, began) = mpsc::channel();
        let thread = thread::spawn(move || {
            let outcome = unshare(CloneFlags::CLONE_NEWNET).map(|()| gettid());
            let is_on = outcome.is_ok();
            report.send(outcome).expect("somebody waits for it");
            if is_on {
                for job in next {
                    job();
                }
            }
        });
        let thread_id = match began.recv().expect("a report") {
            Ok(thread_id) => thread_id,
            Err(error) => {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "no network namespace: {error}"
                );
                // Not by a macro: the test harness would keep that to itself.
                let words = format!("NOT TESTED, for want of a network namespace: {error}\n");
                io::stderr()
                    .write_all(words.as_bytes())
                    .expect("somewhere to say it");
                return None;
            }
        };
        let namespace = Self {
            jobs: Some(jobs),
            thread_id,
            thread: Some(thread),
        };
        namespace.run(|| ip("link set lo up"));
        Some(namespace)
    }

    /// Runs something in it.
    pub(crate) fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (report, done) = mpsc::channel::<Result<R, Box<dyn Any + Send>>>();
        let job = move || {
            let outcome = catch_unwind(AssertUnwindSafe(job));
            report.send(outcome).expect("somebody waits for it");
        };
        let jobs = self.jobs.as_ref().expect("only taken when dropped");
        jobs.send(Box::new(job)).expect("the thread runs");
        done.recv()
            .expect("an outcome")
            .unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Joins it to another by a pair of interfaces, `near` here and `eth0` there, each with an address in a network of
    /// 24 bits; the other's default route leads here.
    pub(crate) fn join(&self, near: &'static str, address: [&str; 2], other: &Self) {
        let [here, there] = address.map(str::to_owned);
        let thread = other.thread_id;
        let gateway = here.clone();
        self.run(move || {
            ip(&format!(
                "link add {near} type veth peer name eth0 netns {thread}"
            ));
            ip(&format!("addr add {here}/24 dev {near}"));
            ip(&format!("link set {near} up"));
        });
        other.run(move || {
            ip(&format!("addr add {there}/24 dev eth0"));
            ip("link set eth0 up");
            ip(&format!("route add default via {gateway}"));
        });
    }

    /// Lets it pass packets on.
    pub(crate) fn forward(&self) {
        self.run(|| {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a setting of the namespace");
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("jobs catch their panics");
        }
    }
}

/// Runs `ip` in the namespace of this thread.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("ip is installed");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs `nft` in the namespace of this thread. Gives what it prints.
pub(crate) fn nft(arguments: &[&str]) -> String {
    let output = Command::new("nft")
        .args(arguments)
        .output()
        .expect("nft is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nft {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}
