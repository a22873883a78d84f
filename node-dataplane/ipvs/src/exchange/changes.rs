//! Many changes in few sends.

use std::iter::Peekable;

use super::{Exchange, Received, Transport};
use crate::{
    Change, Error, Failure,
    codec::{Body, Header, MAX_REQUEST, Messages},
    error::NotFound,
};

/// More in one send makes nothing faster, in bytes.
const SEND_BYTES: usize = 64 * 1024;
/// What a refusal with the kernel's words costs of the receive buffer, at most (the kernel counts its own overhead).
pub(super) const REFUSAL_BYTES: usize = 1280;

impl<T: Transport> Exchange<T> {
    /// Makes the changes in their order, each whatever becomes of the others, and tells which failed.
    pub(crate) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<Vec<Failure>, Error> {
        let mut changes = changes.into_iter().peekable();
        let mut failures = Vec::new();
        let mut done = 0;
        loop {
            let mut sent = self.fill(&mut changes);
            if sent.is_empty() {
                return Ok(failures);
            }
            self.transport.send(&self.request)?;
            self.collect(&mut sent, done, &mut failures)?;
            done += sent.len();
        }
    }

    /// Writes as many changes as fit into one send, and asks for an acknowledgement of the last: so much that, should
    /// the kernel refuse them all, there is room for what it says.
    fn fill(&mut self, changes: &mut Peekable<impl Iterator<Item = Change>>) -> Vec<Pending> {
        let requests = self.transport.receive_limit() / REFUSAL_BYTES;
        let bytes = self.transport.send_limit().min(SEND_BYTES);
        let mut sent = Vec::new();
        self.request.clear();
        while let Some(change) = changes.next() {
            let full = sent.len() + 1 >= requests || self.request.len() + 2 * MAX_REQUEST > bytes;
            let last = full || changes.peek().is_none();
            let header = Header {
                family: self.family,
                sequence: self.next_sequence(),
                acknowledge: last,
            };
            change.encode(header, &mut self.request);
            sent.push(Pending {
                not_found: change.not_found(),
                refused: false,
            });
            if last {
                break;
            }
        }
        sent
    }

    /// Receives what became of the requests just sent, `done` changes after the first.
    fn collect(
        &mut self,
        sent: &mut [Pending],
        done: usize,
        failures: &mut Vec<Failure>,
    ) -> Result<(), Error> {
        let mut overrun = false;
        let complete = loop {
            match self.receive()? {
                Received::Datagram(length) => {
                    if self.sort(length, sent, done, failures)? {
                        break true;
                    }
                }
                Received::Overrun => overrun = true,
                Received::Empty => break false,
            }
        };
        if overrun || !complete {
            // Silence is consent only where all answers arrived.
            let silent = sent
                .iter()
                .enumerate()
                .filter(|(_, pending)| !pending.refused);
            failures.extend(silent.map(|(index, _)| Failure {
                index: done + index,
                error: Error::Lost,
            }));
            failures.sort_by_key(|failure| failure.index);
        }
        Ok(())
    }

    /// Sorts the answers in a datagram to their requests. Tells whether the last request's is among them.
    fn sort(
        &self,
        length: usize,
        sent: &mut [Pending],
        done: usize,
        failures: &mut Vec<Failure>,
    ) -> Result<bool, Error> {
        let count = u32::try_from(sent.len()).unwrap_or(u32::MAX);
        let first = self.sequence.wrapping_sub(count).wrapping_add(1);
        let mut complete = false;
        for message in Messages::of(&self.buffer[..length]) {
            let message = message?;
            let Body::Acknowledged(outcome) = message.body else {
                continue;
            };
            let index = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
            let Some(pending) = sent.get_mut(index) else {
                // A straggler of a request that was given up.
                continue;
            };
            complete |= message.sequence == self.sequence;
            if let Err(refusal) = outcome {
                pending.refused = true;
                failures.push(Failure {
                    index: done + index,
                    error: Error::of(refusal, pending.not_found),
                });
            }
        }
        Ok(complete)
    }
}

/// A request that was sent.
struct Pending {
    not_found: NotFound,
    refused: bool,
}
