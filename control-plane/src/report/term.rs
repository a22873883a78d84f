//! One term of leadership: what a leader knows that a follower need not, and what it makes of it once a second.

use std::time::Duration;

use meshlite_kubernetes::Timestamp;
use meshlite_proto::v1;
use tokio::time::Instant;

use super::{
    desired,
    index::Index,
    members::Members,
    writer::{Counts, Halt, SETTLE, Wanted, Writer},
};
use crate::{config::PublishStatus, peers::Everybody, publish::Views, watch::Facts};

/// How long progress is left as it is while a replica does not answer: its data planes are still there.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a new leader waits for data planes before it says that there are fewer than there were.
const ARRIVAL: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Term {
    index: Index,
    members: Members,
    writer: Writer,
    since: Instant,
    /// Since when a replica does not answer.
    incomplete: Option<Instant>,
}

impl Term {
    pub(super) fn new(writer: Writer) -> Self {
        Self {
            index: Index::default(),
            members: Members::default(),
            writer,
            since: Instant::now(),
            incomplete: None,
        }
    }

    /// Compares what is there with what should be, and writes some of the difference.
    pub(super) async fn round(
        &mut self,
        views: &Views,
        facts: &Facts,
        everybody: Everybody,
        publish_status: &PublishStatus,
    ) -> Result<(), Halt> {
        let now = Instant::now();
        let Some(view) = views.borrow().clone() else {
            return Ok(());
        };
        self.index.update(&view);
        self.members.update(&view, &everybody.clients, now);
        let service = self.writer.published(publish_status, facts, now).await?;
        let addresses = desired::addresses(
            publish_status,
            service.as_ref(),
            &self.index,
            &self.members,
            now,
        );
        let notices = desired::notices(&facts.findings, &self.index, &self.members, |object| {
            desired::subject(object, facts)
        });
        let counts = self.can_count(&everybody, now).then(|| Counts {
            ingresses: self.members.census(v1::Role::Ingress, &self.index, now),
            nodes: self.members.census(v1::Role::L4Node, &self.index, now),
            is_early: now < self.since + ARRIVAL,
        });
        let settled = view.generation();
        let wanted = Wanted {
            facts,
            index: &self.index,
            addresses,
            notices,
            counts,
            is_settled: Box::new(move |changed| {
                let since = view.stamp_after(changed.saturating_sub(1).min(settled));
                since.is_none_or(|stamp| now >= stamp.at + SETTLE)
            }),
            wall: Timestamp::now(),
        };
        self.writer.round(wanted, now).await
    }

    /// Whether all data planes are known, or have been missing for so long that the rest counts.
    fn can_count(&mut self, everybody: &Everybody, now: Instant) -> bool {
        if everybody.unreachable.is_empty() {
            self.incomplete = None;
            return true;
        }
        let since = *self.incomplete.get_or_insert(now);
        now >= since + PATIENCE
    }
}
