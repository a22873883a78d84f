//! Conversations with nftables: transactions in one piece, lists of one state of the ruleset.

#[cfg(test)]
mod tests;

use meshlite_netlink::{Body, LIST_TRIES, Message, Received, Transport};

use crate::{
    Error, Failure, Generation, Rejected, Transaction,
    codec::{
        Malformed,
        message::Payload,
        object,
        uapi::{Command, NLM_F_REQUEST},
        write::{Header, Overlong, Writer},
    },
};

/// More failures of one transaction are not told: they repeat themselves.
const MAX_FAILURES: usize = 1024;

/// Asks nftables, and understands its answers.
#[derive(Debug)]
pub(crate) struct Exchange<T> {
    netlink: meshlite_netlink::Exchange<T>,
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
            netlink: meshlite_netlink::Exchange::new(transport),
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
        self.netlink
            .send(bytes)
            .map_err(|error| Error::from(error).of_all())?;
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
            let messages = match self.netlink.receive()? {
                Received::Messages(messages) => messages,
                // The first failures are there all the same, and one is enough to know.
                Received::Overrun => continue,
                Received::Empty => return Ok(acknowledged),
            };
            for message in messages {
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
                    Err(refusal) if failures.len() < MAX_FAILURES => {
                        failures.push(transaction.failure(sequence, refusal));
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
        let write = |sequence, out: &mut Vec<u8>| question.put(sequence, out);
        let read = |bytes: &[u8]| decode(Payload::of(bytes)?);
        Ok(self.netlink.get(write, read)?)
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
            let write = |sequence, out: &mut Vec<u8>| question.put(sequence, out);
            let add = |bytes: &[u8], list: &mut Vec<V>| take(Payload::of(bytes)?, list);
            let mut list = self.netlink.list_once(write, add)?;
            let after = self.generation()?;
            if list.is_whole && before == after && is_whole(&mut list.values) {
                return Ok(list.values);
            }
            before = after;
        }
        Err(Error::Interrupted(LIST_TRIES))
    }
}

impl Question<'_> {
    /// Writes it, with this sequence number.
    fn put(&self, sequence: u32, out: &mut Vec<u8>) -> Result<(), Overlong> {
        let header = Header {
            sequence,
            ..self.header
        };
        let mut w = header.begin(out);
        (self.write)(&mut w);
        w.end()
    }
}
