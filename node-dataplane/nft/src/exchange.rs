//! One conversation with the kernel after another: transactions in one piece, lists of any length.

#[cfg(test)]
mod tests;

use std::io;

use crate::{
    Error, Failure, Generation, Rejected, Transaction,
    codec::{
        Malformed,
        message::{Body, Message, Messages, Payload},
        object,
        uapi::{Command, NLM_F_REQUEST},
        write::{Header, Writer},
    },
};

/// A datagram of the kernel has at most 32 KiB (`netlink_dump` in the kernel's `af_netlink.c`).
const RECEIVE_BYTES: usize = 64 * 1024;
/// How often a list is read again that changed while it was read.
const LIST_TRIES: u32 = 10;
/// More failures of one transaction are not told: they repeat themselves.
const MAX_FAILURES: usize = 1024;

/// A socket to the kernel that never waits: netlink does the work within `send`, so that all answers are there when it
/// returns, and the rest of a list comes as its beginning is received.
pub(crate) trait Transport {
    /// Sends one datagram, whole, and makes room for it first.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;
    /// Receives one datagram. Says its full length, which may be more than there was room for.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Asks the kernel, and understands its answers.
#[derive(Debug)]
pub(crate) struct Exchange<T> {
    transport: T,
    /// That of the last question.
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

/// What is asked.
pub(crate) struct Question<'a> {
    /// All but its sequence number.
    pub(crate) header: Header,
    /// What else is said.
    pub(crate) write: &'a dyn Fn(&mut Writer<'_>),
}

impl<T: Transport> Exchange<T> {
    pub(crate) fn new(transport: T) -> Self {
        Self {
            transport,
            sequence: 0,
            request: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        }
    }

    /// Makes a transaction, all of it or nothing.
    pub(crate) fn commit(&mut self, transaction: &Transaction) -> Result<(), Rejected> {
        let bytes = match transaction.bytes() {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(()),
            Err(first) => {
                return Err(Rejected {
                    first,
                    others: Vec::new(),
                });
            }
        };
        self.forget().map_err(Error::of_all)?;
        self.transport
            .send(bytes)
            .map_err(|error| of_send(error).of_all())?;
        let mut failures = Vec::new();
        let acknowledged = self
            .collect(transaction, &mut failures)
            .map_err(Error::of_all)?;
        let mut failures = failures.into_iter();
        match failures.next() {
            Some(first) => Err(Rejected {
                first,
                others: failures.collect(),
            }),
            None if acknowledged => Ok(()),
            None => Err(Error::Lost.of_all()),
        }
    }

    /// Receives what became of a transaction. Says whether it was acknowledged.
    fn collect(
        &mut self,
        transaction: &Transaction,
        failures: &mut Vec<Failure>,
    ) -> Result<bool, Error> {
        let mut acknowledged = false;
        loop {
            let length = match self.receive()? {
                Received::Datagram(length) => length,
                // The first failures are there all the same, and one is enough to know.
                Received::Overrun => continue,
                Received::Empty => return Ok(acknowledged),
            };
            for message in Messages::of(&self.buffer[..length]) {
                let Message {
                    sequence,
                    body: Body::Acknowledged(outcome),
                    ..
                } = message?
                else {
                    continue;
                };
                match outcome {
                    Ok(()) => acknowledged |= Transaction::is_acknowledged_by(sequence),
                    Err(refused) if failures.len() < MAX_FAILURES => {
                        failures.push(transaction.failure(sequence, refused));
                    }
                    Err(_one_more) => {}
                }
            }
        }
    }

    /// Asks for one thing.
    pub(crate) fn get<V>(
        &mut self,
        question: &Question<'_>,
        decode: impl Fn(Payload<'_>) -> Result<V, Malformed>,
    ) -> Result<V, Error> {
        self.ask(question)?;
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
                    Body::Acknowledged(Err(refused)) => return Err(Error::of(refused.refusal)),
                    Body::Acknowledged(Ok(())) | Body::Done(_) | Body::Nothing => {}
                }
            }
        }
    }

    /// Which state the ruleset is in.
    pub(crate) fn generation(&mut self) -> Result<Generation, Error> {
        let header = Header::of(Command::GetGeneration, NLM_F_REQUEST, 0, None);
        let question = Question {
            header,
            write: &|_| {},
        };
        self.get(&question, object::generation)
    }

    /// Asks for a list. Reads it again where anything changed meanwhile (of elements, the kernel's own mark of a list
    /// that changed is not always there), or where it is not whole by itself.
    pub(crate) fn list<V>(
        &mut self,
        question: &Question<'_>,
        take: impl Fn(Payload<'_>, &mut Vec<V>) -> Result<(), Malformed>,
        is_whole: impl Fn(&mut [V]) -> bool,
    ) -> Result<Vec<V>, Error> {
        let mut before = self.generation()?;
        for _ in 0..LIST_TRIES {
            self.ask(question)?;
            let list = self.list_once(&take)?;
            let after = self.generation()?;
            if let Some(mut list) = list
                && before == after
                && is_whole(&mut list)
            {
                return Ok(list);
            }
            before = after;
        }
        Err(Error::Interrupted(LIST_TRIES))
    }

    /// `None`: the list is of no use.
    fn list_once<V>(
        &mut self,
        take: &impl Fn(Payload<'_>, &mut Vec<V>) -> Result<(), Malformed>,
    ) -> Result<Option<Vec<V>>, Error> {
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
                    Body::Data(payload) => {
                        if let Err(malformed) = take(payload, &mut list) {
                            broken.get_or_insert(malformed);
                        }
                    }
                    // So it ends where the list was changed under the kernel's own hands.
                    Body::Done(Err(refused)) if refused.refusal.errno == libc::EINTR => {
                        return Ok(None);
                    }
                    Body::Done(Err(refused)) | Body::Acknowledged(Err(refused)) => {
                        return Err(Error::of(refused.refusal));
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

    /// Receives what is left of a conversation that was given up: it must not be taken for an answer to the next one, and
    /// the kernel begins no list before the last one is received.
    fn forget(&mut self) -> Result<(), Error> {
        while !matches!(self.receive()?, Received::Empty) {}
        Ok(())
    }

    /// Sends a question.
    fn ask(&mut self, question: &Question<'_>) -> Result<(), Error> {
        self.forget()?;
        self.sequence = self.sequence.wrapping_add(1);
        self.request.clear();
        let header = Header {
            sequence: self.sequence,
            ..question.header
        };
        let mut w = Writer::begin(&mut self.request, header);
        (question.write)(&mut w);
        w.end().map_err(|_overlong| Error::TooLarge)?;
        self.transport.send(&self.request).map_err(of_send)
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

/// What could not be sent the kernel has not seen.
fn of_send(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) => Error::TooLarge,
        Some(errno @ (libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN)) => {
            Error::Busy(crate::Refusal {
                errno,
                message: None,
            })
        }
        _ => error.into(),
    }
}
