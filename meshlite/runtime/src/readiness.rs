//! Ready when every task that registered has said so; failure is not saying so.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use tracing::info;

/// The tasks that must be done before this process is ready. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    tasks: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

/// Held by a task that is not ready yet. Dropping it makes the task ready.
#[derive(Debug)]
#[must_use = "dropping the token at once means ready at once"]
pub struct ReadyToken {
    name: &'static str,
    since: Instant,
    readiness: Readiness,
}

// === impl Readiness ===

impl Readiness {
    /// Registers a task. This process is not ready until every token of the name is dropped.
    pub fn task(&self, name: &'static str) -> ReadyToken {
        *self.lock().entry(name).or_default() += 1;
        ReadyToken {
            name,
            since: Instant::now(),
            readiness: self.clone(),
        }
    }

    /// The tasks that are not ready, by name.
    pub fn pending(&self) -> Vec<&'static str> {
        let tasks = self.lock();
        tasks
            .iter()
            .filter(|(_, tokens)| **tokens > 0)
            .map(|(name, _)| *name)
            .collect()
    }

    /// Every task that ever registered, by name, and whether it is ready.
    pub fn tasks(&self) -> Vec<(&'static str, bool)> {
        self.lock()
            .iter()
            .map(|(name, tokens)| (*name, *tokens == 0))
            .collect()
    }

    /// Whether every task is ready.
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(|tokens| *tokens == 0)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ReadyToken ===

impl Drop for ReadyToken {
    fn drop(&mut self) {
        let mut tasks = self.readiness.lock();
        if let Some(tokens) = tasks.get_mut(self.name) {
            *tokens = tokens.saturating_sub(1);
        }
        drop(tasks);
        let pending = self.readiness.pending();
        info!(task = self.name, took = ?self.since.elapsed(), ?pending, "task is ready");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_ready_once_the_last_token_is_dropped() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let (watch, compile) = (readiness.task("watch"), readiness.task("compile"));
        drop(watch);
        assert_eq!(readiness.pending(), ["compile"]);
        assert_eq!(readiness.tasks(), [("compile", false), ("watch", true)]);
        drop(compile);
        assert!(readiness.is_ready());
    }

    #[tokio::test]
    async fn a_name_registered_twice_waits_for_both() {
        let readiness = Readiness::default();
        let (one, two) = (readiness.task("listener"), readiness.task("listener"));
        drop(one);
        assert!(!readiness.is_ready());
        drop(two);
        assert!(readiness.is_ready());
    }

    #[tokio::test]
    async fn a_task_can_become_unready_again() {
        let readiness = Readiness::default();
        drop(readiness.task("kernel"));
        let again = readiness.task("kernel");
        assert_eq!(readiness.pending(), ["kernel"]);
        drop(again);
    }
}
