//! Lists, of any length.

use super::{Exchange, Received, Transport};
use crate::{Body, Error, Malformed, Overlong};

/// How often a list is read again that changed while it was read.
pub const LIST_TRIES: u32 = 10;

/// A list as it was received, once.
#[derive(Clone, Debug)]
pub struct List<V> {
    /// What is on it.
    pub values: Vec<V>,
    /// Whether nothing of it was lost, and nothing changed meanwhile, as far as the kernel says so.
    pub is_whole: bool,
}

impl<T: Transport> Exchange<T> {
    /// Asks for a list. Reads it again where it changed meanwhile.
    pub fn list<V>(
        &mut self,
        write: impl Fn(u32, &mut Vec<u8>) -> Result<(), Overlong>,
        take: impl Fn(&[u8], &mut Vec<V>) -> Result<(), Malformed>,
    ) -> Result<Vec<V>, Error> {
        for _ in 0..LIST_TRIES {
            let list = self.list_once(&write, &take)?;
            if list.is_whole {
                return Ok(list.values);
            }
        }
        Err(Error::Interrupted(LIST_TRIES))
    }

    /// Asks for a list, once. `take` reads what is behind each netlink header.
    pub fn list_once<V>(
        &mut self,
        write: impl FnOnce(u32, &mut Vec<u8>) -> Result<(), Overlong>,
        take: impl Fn(&[u8], &mut Vec<V>) -> Result<(), Malformed>,
    ) -> Result<List<V>, Error> {
        let sequence = self.ask(write)?;
        let mut list = List {
            values: Vec::new(),
            is_whole: true,
        };
        // The kernel refuses a new list while one is under way, so this one is received to its end whatever is in it.
        let mut broken = None;
        loop {
            let messages = match self.receive()? {
                Received::Messages(messages) => messages,
                Received::Overrun => {
                    list.is_whole = false;
                    continue;
                }
                Received::Empty => return Err(Error::Lost),
            };
            for message in messages {
                let message = match message {
                    Ok(message) if message.sequence == sequence => message,
                    Ok(_straggler) => continue,
                    Err(malformed) => {
                        broken.get_or_insert(malformed);
                        break;
                    }
                };
                list.is_whole &= !message.interrupted;
                match message.body {
                    Body::Data(payload) => {
                        if let Err(malformed) = take(payload, &mut list.values) {
                            broken.get_or_insert(malformed);
                        }
                    }
                    // So it ends where the list was changed under the kernel's own hands.
                    Body::Done(Err(refusal)) if refusal.errno == libc::EINTR => {
                        list.is_whole = false;
                        return ended(list, broken);
                    }
                    Body::Done(Err(refusal)) | Body::Acknowledged(Err(refusal)) => {
                        return Err(Error::Refused(refusal));
                    }
                    Body::Done(Ok(())) => return ended(list, broken),
                    Body::Acknowledged(Ok(())) | Body::Nothing => {}
                }
            }
        }
    }
}

fn ended<V>(list: List<V>, broken: Option<Malformed>) -> Result<List<V>, Error> {
    match broken {
        Some(malformed) => Err(malformed.into()),
        None => Ok(list),
    }
}
