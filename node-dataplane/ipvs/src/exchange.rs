//! One conversation with the kernel after another: many changes in one send, lists of any length.

#[cfg(test)]
mod tests;

use std::io;

use crate::{
    Change, Error, Query,
    codec::{
        Answer, Body, Header, MAX_REQUEST, Malformed, Message, Messages, decode_family,
        encode_find_family,
    },
    error::NotFound,
};

/// A datagram of the kernel has at most 32 KiB (`netlink_dump` in the kernel's `af_netlink.c`).
const RECEIVE_BYTES: usize = 64 * 1024;
/// More in one send makes nothing faster.
const SEND_BYTES: usize = 64 * 1024;
/// What a refusal with the kernel's words costs of the receive buffer, at most (the kernel counts its own overhead).
const REFUSAL_BYTES: usize = 1280;
/// How often a list is read again that changed while it was read.
const LIST_TRIES: u32 = 10;

/// A socket to the kernel that never waits: netlink does the work within `send`, so that all answers are there when it
/// returns, and the rest of a list comes as its beginning is received.
pub(crate) trait Transport {
    /// Sends one datagram, whole.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;
    /// Receives one datagram. Says its full length, which may be more than there was room for.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// How much a datagram to send may have, in bytes.
    fn send_limit(&self) -> usize;
    /// How much the kernel queues for us, in bytes, its overhead counted.
    fn receive_limit(&self) -> usize;
}

/// A change that was not made, by its place among those that were asked for.
#[derive(Debug)]
pub struct Failure {
    /// Counted from 0.
    pub index: usize,
    /// Why.
    pub error: Error,
}

/// Asks the kernel, and understands its answers.
#[derive(Debug)]
pub(crate) struct Exchange<T> {
    transport: T,
    /// The number of the IPVS family.
    family: u16,
    /// That of the last request.
    sequence: u32,
    request: Vec<u8>,
    buffer: Box<[u8]>,
}

/// What is received next.
enum Received {
    /// So many bytes of the buffer.
    Datagram(usize),
    /// Answers were lost for want of room.
    Overrun,
    /// Nothing is left.
    Empty,
}

impl<T: Transport> Exchange<T> {
    /// Finds IPVS.
    pub(crate) fn begin(transport: T) -> Result<Self, Error> {
        let mut exchange = Self {
            transport,
            family: 0,
            sequence: 0,
            request: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        };
        let sequence = exchange.next_sequence();
        exchange.request.clear();
        encode_find_family(sequence, &mut exchange.request);
        exchange.family = exchange.single(NotFound::Family, decode_family)?;
        Ok(exchange)
    }

    /// Makes the changes in their order, each whatever becomes of the others, and tells which failed.
    pub(crate) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<Vec<Failure>, Error> {
        let requests = (self.transport.receive_limit() / REFUSAL_BYTES).max(1);
        let bytes = self.transport.send_limit().min(SEND_BYTES);
        let mut changes = changes.into_iter().peekable();
        let mut failures = Vec::new();
        let mut done = 0;
        let mut window = Vec::new();
        while changes.peek().is_some() {
            self.request.clear();
            window.clear();
            while let Some(change) = changes.next() {
                let full =
                    window.len() + 1 >= requests || self.request.len() + 2 * MAX_REQUEST > bytes;
                let last = full || changes.peek().is_none();
                let header = Header {
                    family: self.family,
                    sequence: self.next_sequence(),
                    acknowledge: last,
                };
                change.encode(header, &mut self.request);
                window.push(Pending {
                    not_found: change.not_found(),
                    refused: false,
                });
                if last {
                    break;
                }
            }
            self.transport.send(&self.request)?;
            self.collect(&mut window, done, &mut failures)?;
            done += window.len();
        }
        Ok(failures)
    }

    /// Receives what became of the requests just sent. All are refused or silent; the last is acknowledged, too.
    fn collect(
        &mut self,
        window: &mut [Pending],
        done: usize,
        failures: &mut Vec<Failure>,
    ) -> Result<(), Error> {
        let count = u32::try_from(window.len()).unwrap_or(u32::MAX);
        let first = self.sequence.wrapping_sub(count).wrapping_add(1);
        let mut overrun = false;
        let complete = loop {
            let length = match self.receive()? {
                Received::Datagram(length) => length,
                Received::Overrun => {
                    overrun = true;
                    continue;
                }
                Received::Empty => break false,
            };
            let mut complete = false;
            for message in Messages::of(&self.buffer[..length]) {
                let Message {
                    sequence,
                    body: Body::Acknowledged(outcome),
                    ..
                } = message?
                else {
                    continue;
                };
                let index = usize::try_from(sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                let Some(pending) = window.get_mut(index) else {
                    // A straggler of a request that was given up.
                    continue;
                };
                complete |= sequence == self.sequence;
                if let Err(refusal) = outcome {
                    pending.refused = true;
                    let error = Error::of(refusal, pending.not_found);
                    failures.push(Failure {
                        index: done + index,
                        error,
                    });
                }
            }
            if complete {
                break true;
            }
        };
        if overrun || !complete {
            // Silence is consent only where all answers arrived.
            let silent = window
                .iter()
                .enumerate()
                .filter(|(_, pending)| !pending.refused);
            failures.extend(silent.map(|(index, _)| Failure {
                index: done + index,
                error: Error::Lost,
            }));
        }
        Ok(())
    }

    /// Asks for one thing.
    pub(crate) fn get(&mut self, query: Query) -> Result<Answer, Error> {
        self.ask(query);
        self.single(NotFound::Family, Answer::decode)
    }

    /// Asks for a list. Reads it again where it changed meanwhile.
    pub(crate) fn list<V>(
        &mut self,
        query: Query,
        take: impl Fn(Answer) -> Option<V>,
    ) -> Result<Vec<V>, Error> {
        for _ in 0..LIST_TRIES {
            self.ask(query);
            if let Some(list) = self.list_once(&take)? {
                return Ok(list);
            }
        }
        Err(Error::Interrupted(LIST_TRIES))
    }

    /// `None`: the list is of no use.
    fn list_once<V>(
        &mut self,
        take: &impl Fn(Answer) -> Option<V>,
    ) -> Result<Option<Vec<V>>, Error> {
        self.transport.send(&self.request)?;
        let mut list = Vec::new();
        let mut usable = true;
        // The kernel refuses a new list while one is under way, so this one is received to its end whatever is in it.
        let mut broken = None;
        loop {
            let length = match self.receive()? {
                Received::Datagram(length) => length,
                Received::Overrun => {
                    usable = false;
                    continue;
                }
                Received::Empty => return Err(Error::Lost),
            };
            for message in Messages::of(&self.buffer[..length]) {
                let message = match message {
                    Ok(message) if message.sequence == self.sequence => message,
                    Ok(_straggler) => continue,
                    Err(malformed) => {
                        broken.get_or_insert(malformed);
                        break;
                    }
                };
                usable &= !message.interrupted;
                match message.body {
                    Body::Data(payload) => match Answer::decode(payload).map(take) {
                        Ok(Some(value)) => list.push(value),
                        Ok(None) => drop(broken.get_or_insert(Malformed::Unasked)),
                        Err(malformed) => drop(broken.get_or_insert(malformed)),
                    },
                    Body::Done(Err(refusal)) | Body::Acknowledged(Err(refusal)) => {
                        return Err(Error::of(refusal, NotFound::Family));
                    }
                    Body::Done(Ok(())) => {
                        return match broken {
                            Some(malformed) => Err(malformed.into()),
                            None => Ok(usable.then_some(list)),
                        };
                    }
                    Body::Acknowledged(Ok(())) | Body::Nothing => {}
                }
            }
        }
    }

    /// Sends the request that was written, and receives its one answer.
    fn single<V>(
        &mut self,
        not_found: NotFound,
        decode: impl Fn(&[u8]) -> Result<V, Malformed>,
    ) -> Result<V, Error> {
        self.transport.send(&self.request)?;
        loop {
            let Received::Datagram(length) = self.receive()? else {
                return Err(Error::Lost);
            };
            for message in Messages::of(&self.buffer[..length]) {
                let message = message?;
                if message.sequence != self.sequence {
                    continue;
                }
                match message.body {
                    Body::Data(payload) => return Ok(decode(payload)?),
                    Body::Acknowledged(Err(refusal)) => return Err(Error::of(refusal, not_found)),
                    Body::Acknowledged(Ok(())) | Body::Done(_) | Body::Nothing => {}
                }
            }
        }
    }

    /// Writes a query as the next request.
    fn ask(&mut self, query: Query) {
        let header = Header {
            family: self.family,
            sequence: self.next_sequence(),
            acknowledge: false,
        };
        self.request.clear();
        query.encode(header, &mut self.request);
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn receive(&mut self) -> Result<Received, Error> {
        match self.transport.receive(&mut self.buffer) {
            Ok(length) if length > self.buffer.len() => Err(Error::Malformed(Malformed::Cut {
                length,
                left: self.buffer.len(),
            })),
            Ok(length) => Ok(Received::Datagram(length)),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOBUFS) => Ok(Received::Overrun),
                Some(libc::EAGAIN) => Ok(Received::Empty),
                Some(libc::EINTR) => Ok(Received::Datagram(0)),
                _ => Err(error.into()),
            },
        }
    }
}

/// A request that was sent.
struct Pending {
    not_found: NotFound,
    refused: bool,
}
