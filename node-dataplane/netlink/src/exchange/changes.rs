//! Many changes in few sends.

use std::{collections::BTreeMap, iter::Peekable};

use super::{Ask, Exchange, MAX_REQUEST, Received, Transport};
use crate::{Body, Error, Messages, Refusal};

/// More in one send makes nothing faster, in bytes.
const SEND_BYTES: usize = 64 * 1024;
/// What a refusal with the kernel's words costs of the receive buffer, at most, in bytes: the kernel counts its own
/// overhead. No more changes are sent at once than there is room for, should all of them be refused.
pub const REFUSAL_BYTES: usize = 1280;

impl<T: Transport> Exchange<T> {
    /// Makes changes in their order, each whatever becomes of the others, and tells which failed, by their places: with
    /// [`Error::Refused`] or [`Error::Lost`]. `write` writes one, in at most [`MAX_REQUEST`] bytes.
    ///
    /// An `Err` says that the socket failed and how far it got is unknown.
    pub fn apply<C>(
        &mut self,
        changes: impl IntoIterator<Item = C>,
        write: impl Fn(&C, Ask, &mut Vec<u8>),
    ) -> Result<Vec<(usize, C, Error)>, Error> {
        let mut changes = changes.into_iter().peekable();
        let (mut failures, mut sent) = (Vec::new(), Vec::new());
        let mut done = 0;
        loop {
            self.fill(&mut changes, &write, &mut sent);
            if sent.is_empty() {
                return Ok(failures);
            }
            self.transport.send(&self.request)?;
            let mut outcome = self.collect(sent.len())?;
            for (index, change) in sent.drain(..).enumerate() {
                if let Some(error) = outcome.failure(index) {
                    failures.push((done + index, change, error));
                }
            }
            done += outcome.count;
        }
    }

    /// Writes as many changes as fit into one send, and asks for an acknowledgement of the last: so much that, should
    /// the kernel refuse them all, there is room for what it says. They are kept in `sent`.
    fn fill<C>(
        &mut self,
        changes: &mut Peekable<impl Iterator<Item = C>>,
        write: &impl Fn(&C, Ask, &mut Vec<u8>),
        sent: &mut Vec<C>,
    ) {
        let requests = self.transport.receive_limit() / REFUSAL_BYTES;
        let bytes = self.transport.send_limit().min(SEND_BYTES);
        self.request.clear();
        while let Some(change) = changes.next() {
            let full = sent.len() + 1 >= requests || self.request.len() + 2 * MAX_REQUEST > bytes;
            let last = full || changes.peek().is_none();
            let ask = Ask {
                sequence: self.next_sequence(),
                acknowledge: last,
            };
            write(&change, ask, &mut self.request);
            sent.push(change);
            if last {
                break;
            }
        }
    }

    /// Receives what became of so many requests just sent.
    fn collect(&mut self, count: usize) -> Result<Outcome, Error> {
        let mut outcome = Outcome {
            last: self.sequence,
            count,
            refusals: BTreeMap::new(),
            complete: false,
            overrun: false,
        };
        while !outcome.complete {
            match self.receive()? {
                Received::Messages(messages) => outcome.sort(messages)?,
                Received::Overrun => outcome.overrun = true,
                Received::Empty => break,
            }
        }
        Ok(outcome)
    }
}

/// What became of the requests of one send.
struct Outcome {
    /// The last one's sequence number.
    last: u32,
    /// How many there are.
    count: usize,
    /// Why those that were refused were, by their places.
    refusals: BTreeMap<usize, Refusal>,
    /// Whether the last one was answered.
    complete: bool,
    /// Whether answers were lost.
    overrun: bool,
}

impl Outcome {
    /// Sorts the answers in a datagram to their requests.
    fn sort(&mut self, messages: Messages<'_>) -> Result<(), Error> {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        let first = self.last.wrapping_sub(count).wrapping_add(1);
        for message in messages {
            let message = message?;
            let Body::Acknowledged(outcome) = message.body else {
                continue;
            };
            let index = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
            if index >= self.count {
                // A straggler of a request that was given up.
                continue;
            }
            self.complete |= message.sequence == self.last;
            if let Err(refusal) = outcome {
                self.refusals.insert(index, refusal);
            }
        }
        Ok(())
    }

    /// Why the request at this place failed, or may have failed.
    fn failure(&mut self, index: usize) -> Option<Error> {
        // Silence is consent only where all answers arrived.
        let silence = self.overrun || !self.complete;
        match self.refusals.remove(&index) {
            Some(refusal) => Some(Error::Refused(refusal)),
            None => silence.then_some(Error::Lost),
        }
    }
}
