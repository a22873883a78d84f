//! Makes a compiled snapshot what everybody is served: the log, its readers, the encoded commits, and the pace.

mod body;
mod commit;
mod log;
mod pace;
mod topic;
mod topics;
mod view;

use std::sync::Arc;

use meshlite_compile::Delta;
use tokio::sync::watch;
use tracing::info;

pub(crate) use self::{
    commit::{Commit, Commits, digests},
    log::TooLarge,
    pace::Pace,
    topic::{Entry, TopicState},
    topics::{TOPICS, TopicSet},
    view::{Change, Held, Range, Resume, Stamp, View},
};

use self::log::ChangeLog;
use crate::{metrics::Metrics, watch::Watermark};

/// Where readers find what is published; nothing before the first publication.
pub(crate) type Views = watch::Receiver<Option<Arc<View>>>;

/// The one writer of what is published.
#[derive(Debug)]
pub(crate) struct Publisher {
    log: ChangeLog,
    views: watch::Sender<Option<Arc<View>>>,
    metrics: Arc<Metrics>,
}

/// What became of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// How many resources changed, counted by topic.
    pub(crate) changed: usize,
    /// Every resource that is too large for a client to read.
    pub(crate) too_large: Arc<[TooLarge]>,
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

    /// Takes in what changed, read from these sources. Readers see it with [`Publisher::announce`].
    pub(crate) fn publish(
        &mut self,
        delta: &Delta,
        stamp: Stamp,
        sources: Vec<Watermark>,
    ) -> Published {
        let changed = self.log.publish(delta, stamp, sources);
        if changed > 0 {
            let generation = self.log.view().generation();
            info!(generation, changed, "snapshot published");
        }
        Published {
            changed,
            too_large: self.log.too_large().collect(),
        }
    }

    /// Shows readers what was taken in. They are woken only where something changed.
    pub(crate) fn announce(&self) {
        let view = self.log.view();
        let is_new = self.views.send_if_modified(|shown| {
            let before = shown.as_ref().map(|shown| shown.generation());
            // Also where the sources were only read further.
            *shown = Some(Arc::new(view.clone()));
            before != Some(view.generation())
        });
        if is_new {
            self.metrics.published(view);
        }
    }
}
