//! One conversation with the kernel after another: one question, lists of any length, many changes in few sends.

mod changes;
mod lists;
#[cfg(test)]
mod tests;

use std::io;

pub use changes::REFUSAL_BYTES;
pub use lists::{LIST_TRIES, List};

use crate::{Body, Error, Malformed, Messages, Overlong, Refusal};

/// No request among [many changes](Exchange::apply) may be longer than this, in bytes.
pub const MAX_REQUEST: usize = 256;
/// A datagram of the kernel has at most 32 KiB (`netlink_dump` in the kernel's `af_netlink.c`).
const RECEIVE_BYTES: usize = 64 * 1024;

/// A socket to the kernel that never waits: netlink does the work within `send`, so that all answers are there when it
/// returns, and the rest of a list comes as its beginning is received.
pub trait Transport {
    /// Sends one datagram, whole, and makes room for it first where it can.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;
    /// Receives one datagram. Says its full length, which may be more than there was room for.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// How much a datagram to send may have without more room being made, in bytes.
    fn send_limit(&self) -> usize;
    /// How much the kernel queues for us, in bytes, its overhead counted.
    fn receive_limit(&self) -> usize;
}

/// Asks the kernel, and sorts its answers.
#[derive(Debug)]
pub struct Exchange<T> {
    transport: T,
    /// That of the last request.
    sequence: u32,
    /// What is sent next.
    request: Vec<u8>,
    buffer: Box<[u8]>,
}

/// What a request says beside what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its number.
    pub sequence: u32,
    /// Whether success is to be answered too (`NLM_F_ACK`).
    pub acknowledge: bool,
}

/// What is received next.
#[derive(Debug)]
pub enum Received<'a> {
    /// A datagram's messages.
    Messages(Messages<'a>),
    /// Answers were lost for want of room.
    Overrun,
    /// Nothing is left.
    Empty,
}

impl<T: Transport> Exchange<T> {
    /// One that has not said anything yet.
    pub fn new(transport: T) -> Self {
        Self {
            transport,
            sequence: 0,
            request: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        }
    }

    /// What it speaks through.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Asks for one thing: `write` writes the request with this sequence number, `read` reads what is behind the netlink
    /// header of the answer.
    pub fn get<V>(
        &mut self,
        write: impl FnOnce(u32, &mut Vec<u8>) -> Result<(), Overlong>,
        read: impl Fn(&[u8]) -> Result<V, Malformed>,
    ) -> Result<V, Error> {
        let sequence = self.ask(write)?;
        loop {
            let Received::Messages(messages) = self.receive()? else {
                return Err(Error::Lost);
            };
            for message in messages {
                let message = message?;
                if message.sequence != sequence {
                    continue;
                }
                match message.body {
                    Body::Data(payload) => return Ok(read(payload)?),
                    Body::Acknowledged(Err(refusal)) => return Err(Error::Refused(refusal)),
                    Body::Acknowledged(Ok(())) | Body::Done(_) | Body::Nothing => {}
                }
            }
        }
    }

    /// Sends one datagram that was written elsewhere, after forgetting what is left of earlier conversations.
    pub fn send(&mut self, datagram: &[u8]) -> Result<(), Error> {
        self.forget()?;
        self.transport.send(datagram).map_err(of_send)
    }

    /// Receives the next datagram.
    pub fn receive(&mut self) -> Result<Received<'_>, Error> {
        match self.transport.receive(&mut self.buffer) {
            Ok(length) => match self.buffer.get(..length) {
                Some(datagram) => Ok(Received::Messages(Messages::of(datagram))),
                None => Err(Malformed::cut(length, self.buffer.len()).into()),
            },
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOBUFS) => Ok(Received::Overrun),
                Some(libc::EAGAIN) => Ok(Received::Empty),
                Some(libc::EINTR) => Ok(Received::Messages(Messages::of(&[]))),
                _ => Err(error.into()),
            },
        }
    }

    /// Sends a question. Gives its number.
    fn ask(
        &mut self,
        write: impl FnOnce(u32, &mut Vec<u8>) -> Result<(), Overlong>,
    ) -> Result<u32, Error> {
        self.forget()?;
        let sequence = self.next_sequence();
        self.request.clear();
        write(sequence, &mut self.request).map_err(|Overlong| Error::TooLarge)?;
        self.transport.send(&self.request).map_err(of_send)?;
        Ok(sequence)
    }

    /// Receives what is left of a conversation that was given up: it must not be taken for an answer to the next one, and
    /// the kernel begins no list before the last one is received.
    fn forget(&mut self) -> Result<(), Error> {
        while !matches!(self.receive()?, Received::Empty) {}
        Ok(())
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}

/// What could not be sent the kernel has not seen.
fn of_send(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EMSGSIZE) => Error::TooLarge,
        Some(errno @ (libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN)) => {
            Error::Busy(Refusal::of(errno))
        }
        _ => error.into(),
    }
}
