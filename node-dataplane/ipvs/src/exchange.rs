//! One conversation with the kernel after another: many changes in one send, lists of any length.

mod changes;
mod lists;
#[cfg(test)]
mod tests;

use std::io;

use crate::{
    Error, Query,
    codec::{Answer, Body, Header, Malformed, Messages, decode_family, encode_find_family},
    error::NotFound,
};

/// A datagram of the kernel has at most 32 KiB (`netlink_dump` in the kernel's `af_netlink.c`).
const RECEIVE_BYTES: usize = 64 * 1024;

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

/// Asks the kernel, and understands its answers.
#[derive(Debug)]
pub(crate) struct Exchange<T> {
    transport: T,
    /// The number of the IPVS family.
    family: u16,
    /// That of the last request.
    sequence: u32,
    /// What is sent next.
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

    /// Asks for one thing.
    pub(crate) fn get(&mut self, query: Query) -> Result<Answer, Error> {
        self.ask(query);
        self.single(NotFound::Family, Answer::decode)
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
