//! A thread for a kernel whose calls block: what it has lives there, in the network namespace of whoever started it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use tokio::sync::oneshot;

use super::KernelError;

/// A thread that owns a `T` and does with it what it is asked to, one thing after the other. It ends with the last
/// handle.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    jobs: mpsc::Sender<Job<T>>,
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    owned: Mutex<T>,
    /// Jobs that the thread was given and has not done.
    waiting: AtomicUsize,
}

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// The thread has panicked.
#[derive(Debug, thiserror::Error)]
#[error("the thread that programs the kernel has ended")]
pub(crate) struct Ended;

// === impl Ended ===

impl From<Ended> for KernelError {
    fn from(ended: Ended) -> Self {
        Self::Retry(ended.to_string())
    }
}

// === impl Worker ===

impl<T> Clone for Worker<T> {
    fn clone(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread, and waits until it has made what it owns, which is to be quick.
    pub(crate) fn start(
        name: &str,
        make: impl FnOnce() -> Result<T, KernelError> + Send + 'static,
    ) -> Result<Self, KernelError> {
        let (jobs, queue) = mpsc::channel::<Job<T>>();
        let (say, made) = mpsc::channel();
        let work = move || {
            let shared = make().map(|owned| {
                Arc::new(Shared {
                    owned: Mutex::new(owned),
                    waiting: AtomicUsize::new(0),
                })
            });
            say.send(shared.clone()).ok();
            let Ok(shared) = shared else { return };
            for job in queue {
                job(&mut lock(&shared.owned));
                shared.waiting.fetch_sub(1, Ordering::Release);
            }
        };
        let started = thread::Builder::new().name(name.into()).spawn(work);
        started
            .map_err(|error| KernelError::Retry(format!("no thread can be started: {error}")))?;
        let shared = made.recv().map_err(|_gone| Ended)??;
        Ok(Self { jobs, shared })
    }

    /// Has it done, and waits for what comes of it. What was asked for is done even where nobody waits any more.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, Ended> {
        let (reply, result) = oneshot::channel();
        let job: Job<T> = Box::new(move |owned| drop(reply.send(job(owned))));
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        self.jobs.send(job).map_err(|_gone| Ended)?;
        result.await.map_err(|_gone| Ended)
    }

    /// Has it done after all that was asked for before, and waits for nothing. Where the thread has ended it is dropped.
    pub(crate) fn post(&self, job: impl FnOnce(&mut T) + Send + 'static) {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        // Who waits for what comes of it sees that it was dropped.
        drop(self.jobs.send(Box::new(job)));
    }

    /// The same, by this very thread unless the other is at something: for what takes no longer than to wake another
    /// thread and to be woken by it.
    pub(crate) async fn run_here<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, Ended> {
        if self.shared.waiting.load(Ordering::Acquire) == 0
            && let Ok(mut owned) = self.shared.owned.try_lock()
        {
            return Ok(job(&mut owned));
        }
        self.run(job).await
    }
}

fn lock<T>(owned: &Mutex<T>) -> MutexGuard<'_, T> {
    owned.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn jobs_are_done_in_order_and_a_panic_is_an_error_for_all_that_follow() {
        let worker = Worker::start("test", || Ok(Vec::new())).unwrap();
        for n in 0..3 {
            worker.run(move |all| all.push(n)).await.unwrap();
        }
        worker.run_here(|all| all.push(3)).await.unwrap();
        assert_eq!(worker.run(|all| all.clone()).await.unwrap(), [0, 1, 2, 3]);
        assert!(worker.run(|_| panic!("as it happens")).await.is_err());
        assert!(worker.run(|_| ()).await.is_err());
        assert!(worker.run_here(|_| ()).await.is_err());
    }

    #[tokio::test]
    async fn what_is_done_here_comes_after_what_was_asked_for_before() {
        let worker = Worker::start("test", || Ok(Vec::new())).unwrap();
        let (go, may_go) = mpsc::channel::<()>();
        let mut first = Box::pin(worker.run(move |all| {
            may_go.recv().ok();
            all.push(1);
        }));
        assert!(matches!(poll_once(&mut first).await, Poll::Pending));
        let mut second = Box::pin(worker.run_here(|all| all.push(2)));
        assert!(matches!(poll_once(&mut second).await, Poll::Pending));
        drop(go);
        second.await.unwrap();
        assert_eq!(worker.run(|all| all.clone()).await.unwrap(), [1, 2]);
    }

    #[test]
    fn what_cannot_be_made_is_said_at_once() {
        let no = || Err::<(), _>(KernelError::Unsupported("no module".to_owned()));
        let started = Worker::start("test", no).map(drop);
        assert_eq!(started, no());
    }

    async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *future).poll(context)))
            .await
    }
}
