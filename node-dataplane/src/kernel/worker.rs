//! A thread for a kernel whose calls block: what it has lives there, in the network namespace of whoever started it.

use std::{io, sync::mpsc, thread};

use tokio::sync::oneshot;

/// A thread that owns a `T` and does with it what it is asked to, one thing after the other. It ends with this handle.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    jobs: mpsc::Sender<Job<T>>,
}

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// The thread has panicked.
#[derive(Debug, thiserror::Error)]
#[error("the thread that programs the kernel has ended")]
pub(crate) struct Ended;

// === impl Worker ===

impl<T: 'static> Worker<T> {
    /// Starts the thread, which makes what it owns.
    pub(crate) fn start(name: &str, make: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job<T>>();
        thread::Builder::new().name(name.into()).spawn(move || {
            let mut owned = make();
            for job in queue {
                job(&mut owned);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Has it done, and waits for what comes of it. What was asked for is done even where nobody waits any more.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, Ended> {
        let (reply, result) = oneshot::channel();
        let job: Job<T> = Box::new(move |owned| drop(reply.send(job(owned))));
        self.jobs.send(job).map_err(|_gone| Ended)?;
        result.await.map_err(|_gone| Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_done_in_order_and_a_panic_is_an_error_for_all_that_follow() {
        let worker = Worker::start("test", Vec::new).unwrap();
        for n in 0..3 {
            worker.run(move |all| all.push(n)).await.unwrap();
        }
        assert_eq!(worker.run(|all| all.clone()).await.unwrap(), [0, 1, 2]);
        assert!(worker.run(|_| panic!("as it happens")).await.is_err());
        assert!(worker.run(|_| ()).await.is_err());
    }
}
