//! Makes a compiled snapshot what everybody is served: the log, its readers, the encoded commits, and the pace.

mod commit;
mod log;
mod pace;

use std::sync::Arc;

use meshlite_compile::Compiled;
use tokio::sync::watch;
use tracing::info;

pub(crate) use self::{
    commit::{Commits, Encoded},
    log::{Change, Content, Resume, Stamp, TOPICS, TooLarge, TopicState, View},
    pace::Pace,
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

    /// Publishes a snapshot and says what of it could not be. Readers are woken only where something changed.
    pub(crate) fn publish(&mut self, compiled: &Compiled, stamp: Stamp) -> Vec<TooLarge> {
        let before = self.log.view().generation();
        let Outcome { changed, too_large } = self.log.publish(compiled, stamp);
        let view = self.log.view();
        if view.generation() == before {
            return too_large;
        }
        info!(
            generation = view.generation(),
            changed,
            services = view.state(TOPICS[2]).count,
            "snapshot published"
        );
        self.metrics.published(view);
        self.views.send_replace(Some(Arc::new(view.clone())));
        too_large
    }
}
