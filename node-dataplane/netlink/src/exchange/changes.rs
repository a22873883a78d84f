//! Many changes in few sends.

use std::iter::Peekable;

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
        let mut failures = Vec::new();
        let mut done = 0;
        loop {
            let sent = self.fill(&mut changes, &write);
            if sent.is_empty() {
                return Ok(failures);
            }
            self.transport.send(&self.request)?;
            let outcome = self.collect(sent.len())?;
            failures.extend(outcome.failures(sent, done));
            done += outcome.refusals.len();
        }
    }

    /// Writes as many changes as fit into one send, and asks for an acknowledgement of the last: so much that, should
    /// the kernel refuse them all, there is room for what it says.
    fn fill<C>(
        &mut self,
        changes: &mut Peekable<impl Iterator<Item = C>>,
        write: &impl Fn(&C, Ask, &mut Vec<u8>),
    ) -> Vec<C> {
        let requests = self.transport.receive_limit() / REFUSAL_BYTES;
        let bytes = self.transport.send_limit().min(SEND_BYTES);
        let mut sent = Vec::new();
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
        sent
    }

    /// Receives what became of so many requests just sent.
    fn collect(&mut self, count: usize) -> Result<Outcome, Error> {
        let mut outcome = Outcome {
            last: self.sequence,
            refusals: vec![None; count],
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
    /// For each, why it was refused, if it was.
    refusals: Vec<Option<Refusal>>,
    /// Whether the last one was answered.
    complete: bool,
    /// Whether answers were lost.
    overrun: bool,
}

impl Outcome {
    /// Sorts the answers in a datagram to their requests.
    fn sort(&mut self, messages: Messages<'_>) -> Result<(), Error> {
        let count = u32::try_from(self.refusals.len()).unwrap_or(u32::MAX);
        let first = self.last.wrapping_sub(count).wrapping_add(1);
        for message in messages {
            let message = message?;
            let Body::Acknowledged(outcome) = message.body else {
                continue;
            };
            let index = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
            let Some(refusal) = self.refusals.get_mut(index) else {
                // A straggler of a request that was given up.
                continue;
            };
            self.complete |= message.sequence == self.last;
            *refusal = outcome.err();
        }
        Ok(())
    }

    /// The requests that failed, or may have failed, with `done` more before the first.
    fn failures<C>(&self, sent: Vec<C>, done: usize) -> Vec<(usize, C, Error)> {
        // Silence is consent only where all answers arrived.
        let silence = self.overrun || !self.complete;
        sent.into_iter()
            .zip(&self.refusals)
            .enumerate()
            .filter_map(|(index, (change, refusal))| {
                let error = match refusal {
                    Some(refusal) => Error::Refused(refusal.clone()),
                    None if silence => Error::Lost,
                    None => return None,
                };
                Some((done + index, change, error))
            })
            .collect()
    }
}
