//! Lists, of any length.

use super::{Exchange, Received, Transport};
use crate::{
    Error, Query,
    codec::{Answer, Body, Malformed, Messages},
    error::NotFound,
};

/// How often a list is read again that changed while it was read.
const LIST_TRIES: u32 = 10;

impl<T: Transport> Exchange<T> {
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
        let mut list = List {
            values: Vec::new(),
            usable: true,
            malformed: None,
        };
        loop {
            match self.receive()? {
                Received::Datagram(length) => {
                    if self.gather(length, take, &mut list)? {
                        break;
                    }
                }
                Received::Overrun => list.usable = false,
                Received::Empty => return Err(Error::Lost),
            }
        }
        match list.malformed {
            Some(malformed) => Err(malformed.into()),
            None => Ok(list.usable.then_some(list.values)),
        }
    }

    /// Takes what a datagram adds to the list. Tells whether it is the last.
    fn gather<V>(
        &self,
        length: usize,
        take: &impl Fn(Answer) -> Option<V>,
        list: &mut List<V>,
    ) -> Result<bool, Error> {
        for message in Messages::of(&self.buffer[..length]) {
            let message = match message {
                Ok(message) if message.sequence == self.sequence => message,
                Ok(_straggler) => continue,
                Err(malformed) => {
                    list.malformed = Some(malformed);
                    continue;
                }
            };
            list.usable &= !message.interrupted;
            match message.body {
                Body::Data(payload) => match Answer::decode(payload) {
                    Ok(answer) => match take(answer) {
                        Some(value) => list.values.push(value),
                        None => list.malformed = Some(Malformed::Unasked),
                    },
                    Err(malformed) => list.malformed = Some(malformed),
                },
                Body::Done(Err(refusal)) | Body::Acknowledged(Err(refusal)) => {
                    return Err(Error::of(refusal, NotFound::Family));
                }
                Body::Done(Ok(())) => return Ok(true),
                Body::Acknowledged(Ok(())) | Body::Nothing => {}
            }
        }
        Ok(false)
    }
}

/// A list as far as it was received.
struct List<V> {
    values: Vec<V>,
    /// Whether nothing of it was lost, and nothing changed meanwhile.
    usable: bool,
    /// What is wrong with it. The kernel refuses a new list while one is under way, so even a list with nonsense in it
    /// is received to its end.
    malformed: Option<Malformed>,
}
