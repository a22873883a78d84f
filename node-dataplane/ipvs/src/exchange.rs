//! Conversations with IPVS: its number is found, questions are asked, changes are made.

#[cfg(test)]
mod tests;

use std::borrow::Borrow;

use meshlite_netlink::{Ask, Overlong, Transport};

use crate::{
    Change, Error, Failure, Query,
    codec::{Answer, Header, Malformed, decode_family, encode_find_family},
    error::NotFound,
};

/// Asks IPVS, and understands its answers.
#[derive(Debug)]
pub(crate) struct Exchange<T> {
    netlink: meshlite_netlink::Exchange<T>,
    /// The number of the IPVS family.
    family: u16,
}

impl<T: Transport> Exchange<T> {
    /// Finds IPVS.
    pub(crate) fn begin(transport: T) -> Result<Self, Error> {
        let mut netlink = meshlite_netlink::Exchange::new(transport);
        let write = |sequence, out: &mut Vec<u8>| {
            encode_find_family(sequence, out);
            Ok(())
        };
        let family = netlink.get(write, decode_family).map_err(of_query)?;
        Ok(Self { netlink, family })
    }

    /// Asks for one thing.
    pub(crate) fn get(&mut self, query: Query) -> Result<Answer, Error> {
        let write = ask(self.family, query);
        self.netlink.get(write, Answer::decode).map_err(of_query)
    }

    /// Asks for a list. Reads it again where it changed meanwhile.
    pub(crate) fn list<V>(
        &mut self,
        query: Query,
        take: impl Fn(Answer) -> Option<V>,
    ) -> Result<Vec<V>, Error> {
        let write = ask(self.family, query);
        let add = |payload: &[u8], list: &mut Vec<V>| {
            list.push(take(Answer::decode(payload)?).ok_or(Malformed::Unasked)?);
            Ok(())
        };
        self.netlink.list(write, add).map_err(of_query)
    }

    /// Makes the changes in their order, each whatever becomes of the others, and tells which failed.
    pub(crate) fn apply<C: Borrow<Change>>(
        &mut self,
        changes: impl IntoIterator<Item = C>,
    ) -> Result<Vec<Failure>, Error> {
        let family = self.family;
        let write = |change: &C, ask: Ask, out: &mut Vec<u8>| {
            let header = Header {
                family,
                sequence: ask.sequence,
                acknowledge: ask.acknowledge,
            };
            change.borrow().encode(header, out);
        };
        let failures = self.netlink.apply(changes, write).map_err(of_query)?;
        let failure = |(index, change, error): (usize, C, _)| Failure {
            index,
            error: Error::from_netlink(error, change.borrow().not_found()),
        };
        Ok(failures.into_iter().map(failure).collect())
    }
}

/// Writes a question.
fn ask(family: u16, query: Query) -> impl Fn(u32, &mut Vec<u8>) -> Result<(), Overlong> {
    move |sequence, out| {
        let header = Header {
            family,
            sequence,
            acknowledge: false,
        };
        query.encode(header, out);
        Ok(())
    }
}

/// What is asked for can be missing only where IPVS itself is.
fn of_query(error: meshlite_netlink::Error) -> Error {
    Error::from_netlink(error, NotFound::Family)
}
