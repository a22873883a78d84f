//! What waits for a client, and how its stream takes it: piece by piece, when there is room on the wire.

mod handover;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use meshlite_proto::v1::{self, discovery_response::Kind};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_stream::Stream;
use tonic::Status;

use self::handover::{Giver, NotTaken, Taker, handover};
use super::{session::Opening, wire::Piece};
use crate::publish::Commit;

/// What waits at most: a commit, a heartbeat and a farewell. Nothing is sent before the commit before it is
/// acknowledged, and no heartbeat while anything waits.
const QUEUE: usize = 4;
/// A client that takes nothing for so long is gone.
const STALLED: Duration = Duration::from_mins(1);
/// A bulk transfer of which nothing is taken for so long gives up its place: it is no burden, and others wait.
const TURN: Duration = Duration::from_secs(2);

/// Where a client's task puts what is to be sent. It never waits.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Giver<Item>,
    progress: Arc<Progress>,
    /// How many items were put in.
    queued: u64,
    seen: Seen,
    /// That of the last bulk transfer.
    turn: Option<Turn>,
}

/// The stream that the client takes from.
#[derive(Debug)]
pub(super) struct Outbound {
    queue: Taker<Item>,
    progress: Arc<Progress>,
    sending: Option<Box<Sending>>,
}

/// The client cannot be reached any longer, or took too little of what it was sent before.
#[derive(Debug)]
pub(super) struct Gone;

/// A place among the bulk transfers.
type Turn = Arc<Mutex<Option<OwnedSemaphorePermit>>>;

#[derive(Debug)]
enum Item {
    Commit(Box<Sending>),
    Message(Box<v1::DiscoveryResponse>),
    /// The stream ends with it.
    Refused(Status),
}

/// A commit, and what of it is still to be taken.
#[derive(Debug)]
struct Sending {
    commit: Arc<Commit>,
    opening: Opening,
    data: Bytes,
    max_chunk: usize,
    is_begun: bool,
    turn: Option<Turn>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Pieces that were taken.
    pieces: AtomicU64,
    /// Items of which all was taken.
    items: AtomicU64,
}

/// How far the client was when it last took something.
#[derive(Clone, Copy, Debug)]
struct Seen {
    pieces: u64,
    at: Instant,
}

pub(super) fn channel(now: Instant) -> (Outbox, Outbound) {
    let (giver, taker) = handover(QUEUE);
    let progress = Arc::new(Progress::default());
    let outbox = Outbox {
        queue: giver,
        progress: Arc::clone(&progress),
        queued: 0,
        seen: Seen { pieces: 0, at: now },
        turn: None,
    };
    let outbound = Outbound {
        queue: taker,
        progress,
        sending: None,
    };
    (outbox, outbound)
}

// === impl Outbox ===

impl Outbox {
    /// Sends a commit. A bulk transfer keeps its place until all of it was taken.
    pub(super) fn commit(
        &mut self,
        commit: Arc<Commit>,
        opening: Opening,
        max_chunk: usize,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Gone> {
        let turn = place.map(|place| Arc::new(Mutex::new(Some(place))));
        self.turn.clone_from(&turn);
        let data = commit.data.clone();
        self.put(Item::Commit(Box::new(Sending {
            commit,
            opening,
            data,
            max_chunk,
            is_begun: false,
            turn,
        })))
    }

    pub(super) fn message(&mut self, kind: Kind) -> Result<(), Gone> {
        let message = v1::DiscoveryResponse { kind: Some(kind) };
        self.put(Item::Message(Box::new(message)))
    }

    /// Ends the stream with an error.
    pub(super) fn refuse(&mut self, status: Status) {
        // A client that has gone does not need to know.
        drop(self.put(Item::Refused(status)));
    }

    /// Something that was put in was not taken.
    pub(super) fn is_waiting(&self) -> bool {
        self.progress.items.load(Ordering::Relaxed) < self.queued
    }

    /// Looks how far the client is. Call it at [`Outbox::deadline`], or more often.
    pub(super) fn check(&mut self, now: Instant) -> Result<(), Gone> {
        let pieces = self.progress.pieces.load(Ordering::Relaxed);
        if pieces != self.seen.pieces || !self.is_waiting() {
            self.seen = Seen { pieces, at: now };
        }
        if !self.is_waiting() {
            self.turn = None;
        } else if now >= self.seen.at + TURN
            && let Some(turn) = self.turn.take()
        {
            drop(lock(&turn).take());
        }
        if now >= self.seen.at + STALLED {
            return Err(Gone);
        }
        Ok(())
    }

    /// When [`Outbox::check`] has something to say, at the earliest; none where nothing waits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let patience = if self.turn.is_some() { TURN } else { STALLED };
        self.is_waiting().then(|| self.seen.at + patience)
    }

    /// The client has gone.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }

    fn put(&mut self, item: Item) -> Result<(), Gone> {
        self.queue.give(item).map_err(|NotTaken| Gone)?;
        self.queued += 1;
        Ok(())
    }
}

// === impl Outbound ===

impl Stream for Outbound {
    type Item = Result<Piece, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let piece = match &mut this.sending {
            Some(sending) => {
                let piece = sending.next();
                if matches!(piece, Piece::End { .. }) {
                    this.sending = None;
                    this.progress.items.fetch_add(1, Ordering::Relaxed);
                }
                piece
            }
            None => match ready!(this.queue.poll_take(context)) {
                Some(Item::Commit(mut sending)) => {
                    let piece = sending.next();
                    this.sending = Some(sending);
                    piece
                }
                Some(Item::Message(message)) => {
                    this.progress.items.fetch_add(1, Ordering::Relaxed);
                    Piece::Message(message)
                }
                Some(Item::Refused(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            },
        };
        this.progress.pieces.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(piece)))
    }
}

// === impl Sending ===

impl Sending {
    fn next(&mut self) -> Piece {
        let Opening {
            nonce,
            from_generation,
        } = self.opening;
        if !self.is_begun {
            self.is_begun = true;
            return Piece::Begin {
                nonce,
                from_generation,
                rest: self.commit.begin.clone(),
            };
        }
        if self.data.is_empty() {
            let rest = self.commit.end.clone();
            return Piece::End { nonce, rest };
        }
        let length = self.data.len().min(self.max_chunk);
        Piece::Chunk(self.data.split_to(length))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(turn) = &self.turn {
            drop(lock(turn).take());
        }
    }
}

fn lock(turn: &Turn) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::publish::{Commits, Range};

    fn drain() -> Kind {
        Kind::Drain(v1::Drain::default())
    }

    async fn mk_commit() -> Arc<Commit> {
        let (mut publisher, views) = crate::publish::Publisher::new(Arc::default());
        let stamp = crate::publish::Stamp {
            at: Instant::now(),
            changed: std::time::SystemTime::UNIX_EPOCH,
        };
        let names: Vec<_> = (0..100).map(|i| i.to_string()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let compiled = crate::testing::mk_namespaces(&names);
        let delta = crate::testing::delta(None, &compiled);
        publisher.publish(&delta, stamp, Vec::new());
        publisher.announce();
        let view = views.borrow().clone().unwrap();
        let topics = crate::publish::TOPICS.into_iter().collect();
        let made = Commits::default()
            .get(&view, topics, Range::Full, false)
            .await;
        made.unwrap()
    }

    const OPENING: Opening = Opening {
        nonce: 1,
        from_generation: 0,
    };

    #[tokio::test]
    async fn a_commit_is_cut_only_as_it_is_taken_and_shares_its_bytes() {
        let commit = mk_commit().await;
        let (mut outbox, mut outbound) = channel(Instant::now());
        outbox
            .commit(Arc::clone(&commit), OPENING, 1024, None)
            .unwrap();
        assert!(outbox.is_waiting());
        let mut taken = 0;
        let mut pieces = Vec::new();
        while outbox.is_waiting() {
            let piece = outbound.next().await.unwrap().unwrap();
            if let Piece::Chunk(data) = &piece {
                assert_eq!(data.as_ptr(), commit.data[taken..].as_ptr());
                taken += data.len();
            }
            pieces.push(piece);
        }
        assert_eq!(taken, commit.data.len());
        assert!(matches!(
            pieces.first(),
            Some(Piece::Begin { nonce: 1, .. })
        ));
        assert!(matches!(pieces.last(), Some(Piece::End { nonce: 1, .. })));
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_for_a_minute_is_gone_and_before_that_holds_little() {
        let start = Instant::now();
        let (mut outbox, mut outbound) = channel(start);
        assert!(outbox.check(start + 2 * STALLED).is_ok(), "nothing waits");
        outbox.check(start).unwrap();
        for _ in 0..QUEUE {
            outbox.message(drain()).unwrap();
        }
        assert!(outbox.message(drain()).is_err(), "more is not kept for it");
        outbox.check(start + STALLED / 2).unwrap();
        outbound.next().await.unwrap().unwrap();
        outbox.check(start + STALLED).unwrap();
        let deadline = outbox.deadline().unwrap();
        assert_eq!(deadline, start + 2 * STALLED);
        assert!(outbox.check(deadline).is_err());
    }

    #[tokio::test]
    async fn a_bulk_transfer_keeps_its_place_while_anything_of_it_is_taken() {
        let commit = mk_commit().await;
        let places = Arc::new(Semaphore::new(1));
        let start = Instant::now();
        let (mut outbox, mut outbound) = channel(start);
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        outbox
            .commit(Arc::clone(&commit), OPENING, 1024, Some(place))
            .unwrap();
        for turn in 1..3 {
            outbound.next().await.unwrap().unwrap();
            outbox.check(start + turn * TURN).unwrap();
            assert_eq!(places.available_permits(), 0);
        }
        outbox.check(start + 3 * TURN).unwrap();
        assert_eq!(
            places.available_permits(),
            1,
            "it took nothing for two seconds"
        );
        let (mut outbox, mut outbound) = channel(start);
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        outbox.commit(commit, OPENING, 1024, Some(place)).unwrap();
        while outbox.is_waiting() {
            assert_eq!(places.available_permits(), 0);
            outbound.next().await.unwrap().unwrap();
        }
        assert_eq!(places.available_permits(), 1, "it has everything");
    }
}
