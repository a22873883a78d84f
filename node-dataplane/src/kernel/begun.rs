//! Steps that a kernel has begun to apply, while whoever asked for them goes on.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::KernelError;
use crate::plan::Step;

/// Steps that a kernel has begun to apply.
#[derive(Debug)]
pub(crate) struct Begun {
    steps: Arc<[Step]>,
    progress: Progress,
}

/// Steps, and what came of each.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) steps: Arc<[Step]>,
    pub(crate) results: Vec<Result<(), KernelError>>,
}

#[derive(Debug)]
enum Progress {
    Done(Vec<Result<(), KernelError>>),
    UnderWay(oneshot::Receiver<Vec<Result<(), KernelError>>>),
}

// === impl Begun ===

impl Begun {
    /// Steps that are applied already.
    pub(crate) fn done(steps: Arc<[Step]>, results: Vec<Result<(), KernelError>>) -> Self {
        let progress = Progress::Done(results);
        Self { steps, progress }
    }

    /// Steps of which others will tell what came of them; where these fall silent, nobody knows.
    pub(crate) fn under_way(
        steps: Arc<[Step]>,
        results: oneshot::Receiver<Vec<Result<(), KernelError>>>,
    ) -> Self {
        let progress = Progress::UnderWay(results);
        Self { steps, progress }
    }

    /// Waits for what came of them.
    pub(super) async fn applied(self) -> Applied {
        let Self { steps, progress } = self;
        let results = match progress {
            Progress::Done(results) => results,
            Progress::UnderWay(results) => results.await.unwrap_or_else(|_gone| {
                let silent = KernelError::Retry("who programs the kernel has ended".to_owned());
                vec![Err(silent); steps.len()]
            }),
        };
        Applied { steps, results }
    }
}
