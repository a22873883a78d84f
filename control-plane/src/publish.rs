//! Makes a compiled snapshot what everybody is served: the log, its readers, the encoded commits, and the pace.

mod commit;
mod log;
mod pace;
mod topic;
mod view;

use std::sync::Arc;

use meshlite_compile::Compiled;
use tokio::sync::watch;
use tracing::info;

pub(crate) use self::{
    commit::{Commits, Encoded},
    pace::Pace,
    topic::{Content, TooLarge, TopicState},
    view::{Change, Resume, Stamp, TOPICS, View},
};

use self::log::{ChangeLog, Outcome};
use crate::metrics::Metrics;

/// Where readers find what is published; nothing before the first publication.
pub(crate) type Views = watch::Receiver<Option<Arc<View>>>;

/// The one writer of what is published.
#[derive(Debug)]
pub(crate) struct Publisher {
    log: ChangeLog,
    views: watch::Sender<Option<Arc<View>>>,
    metrics: Arc<Metrics>,
}

impl Publisher {
    /// A publisher that has published nothing, under an epoch of its own.
    pub(crate) fn new(metrics: Arc<Metrics>) -> (Self, Views) {
        let (views, readers) = watch::channel(None);
        let epoch = format!("{:016x}", fastrand::u64(..));
        let log = ChangeLog::new(&epoch);
        (
            Self {
                log,
                views,
                metrics,
            },
            readers,
        )
    }

    /// Takes in a snapshot and says what of it is too large. Readers see it with [`Publisher::announce`].
    pub(crate) fn publish(&mut self, compiled: &Compiled, stamp: Stamp) -> Vec<TooLarge> {
        let Outcome { changed, too_large } = self.log.publish(compiled, stamp);
        if changed > 0 {
            let generation = self.log.view().generation();
            info!(generation, changed, "snapshot published");
        }
        too_large
    }

    /// Shows readers what was taken in. They are woken only where something changed.
    pub(crate) fn announce(&self) {
        let view = self.log.view();
        let is_new = self.views.send_if_modified(|shown| {
            let before = shown.as_ref().map(|shown| shown.generation());
            let is_new = before != Some(view.generation());
            if is_new {
                *shown = Some(Arc::new(view.clone()));
            }
            is_new
        });
        if is_new {
            self.metrics.published(view);
        }
    }
}
