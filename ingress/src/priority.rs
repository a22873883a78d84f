//! Requests come first: whatever else this process does gives way to the workers.

use std::{fs, io};

use rustix::process::{Pid, setpriority_process};
use tracing::warn;

/// How nice (setpriority(2)) other threads are to the workers: one that gets a request takes their processor, and where the workers
/// want every processor for themselves, others still have about a tenth of it.
const NICE: i32 = 10;

/// How the names of threads begin that serve requests, or take what those leave.
const SERVING: [&str; 2] = ["ingress-", "access-log"];

/// Makes all threads that are there now give way, but for those that serve requests. Threads that they start later do so too.
///
/// On one processor a snapshot that is installed would otherwise keep requests waiting for a whole turn of the scheduler.
pub(crate) fn give_way() {
    if let Err(error) = threads_give_way() {
        warn!(%error, "requests may wait while a snapshot is installed: the priority of threads cannot be set");
    }
}

fn threads_give_way() -> io::Result<()> {
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?;
        // One may end meanwhile.
        let Ok(name) = fs::read_to_string(thread.path().join("comm")) else {
            continue;
        };
        let id = thread.file_name().to_str().and_then(|id| id.parse().ok());
        if let Some(id) = id.and_then(Pid::from_raw)
            && !SERVING.iter().any(|serving| name.starts_with(serving))
        {
            match setpriority_process(Some(id), NICE) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use rustix::{process::getpriority_process, thread::gettid};

    use super::*;

    /// How nice a thread of this name is when it starts, and once everything gave way.
    fn nice_of(name: &str) -> [i32; 2] {
        let (started, starts) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || {
            let id = gettid();
            let nice = getpriority_process(Some(id)).unwrap();
            started.send((id, nice)).unwrap();
            ends.recv().unwrap();
        });
        let (id, before) = starts.recv().unwrap();
        give_way();
        let after = getpriority_process(Some(id)).unwrap();
        end.send(()).unwrap();
        thread.unwrap().join().unwrap();
        [before, after]
    }

    #[test]
    fn all_threads_give_way_to_those_that_serve_requests() {
        for name in ["ingress-0", "access-log"] {
            let [before, after] = nice_of(name);
            assert_eq!(before, after, "{name}");
        }
        assert_eq!(nice_of("tokio-rt-worker")[1], NICE);
        // And what they start.
        assert_eq!(nice_of("of a thread that gave way"), [NICE, NICE]);
    }
}
