//! A network namespace without a name.

use std::{fs::File, io, os::fd::AsRawFd as _, panic, process, thread};

use nix::sched::{CloneFlags, setns, unshare};

use super::Error;

/// A network namespace that lives as long as this value, and whatever runs in it.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

// === impl Namespace ===

impl Namespace {
    /// A new one, with nothing but a loopback that is down.
    pub fn new() -> Result<Self, Error> {
        // A thread goes into it and ends; its file keeps it.
        let make = || -> io::Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        };
        let made = thread::scope(|scope| scope.spawn(make).join());
        let file = made.unwrap_or_else(|cause| panic::resume_unwind(cause));
        Ok(Self {
            file: file.map_err(Error::NotPermitted)?,
        })
    }

    /// Runs this in the namespace, on a thread of its own. Sockets that it makes stay there wherever they are used later,
    /// and processes that it starts run there.
    pub fn run<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        let done = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                task()
            });
            inside.join()
        });
        done.unwrap_or_else(|cause| panic::resume_unwind(cause))
    }

    /// Takes this thread into the namespace for good.
    #[expect(clippy::expect_used, reason = "whoever made it may enter it")]
    pub(super) fn enter(&self) {
        setns(&self.file, CloneFlags::CLONE_NEWNET).expect("a namespace of ours can be entered");
    }

    /// The same namespace, held once more.
    pub(super) fn share(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
        })
    }

    /// Where other processes find it, such as `nsenter --net=PATH`, while this one lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd())
    }
}
