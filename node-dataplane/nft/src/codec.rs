//! The codec by itself, without a socket: what is sent to the kernel, and what it answers.
//!
//! ```text
//! Transaction ──bytes──> bytes ──> kernel ──> datagram ──Messages──> Message ──Object::decode──> Object
//! ```
//!
//! For those who have a netlink socket of their own, such as one that listens to changes, and for tests.
//!
//! Layout and numbers are those of the kernel's `include/uapi/linux/netlink.h`, `netfilter/nfnetlink.h` and
//! `netfilter/nf_tables.h`. Numbers in attributes are in network byte order but for headers and lengths. Whatever the
//! bytes, decoding ends: with a value or with [`Malformed`], never with a panic.

pub(crate) mod element;
mod expression;
pub(crate) mod message;
pub(crate) mod object;
pub(crate) mod read;
pub(crate) mod rule;
pub(crate) mod set;
#[cfg(test)]
mod tests;
pub(crate) mod uapi;
mod value;
pub(crate) mod write;

pub use meshlite_netlink::{Body, Malformed, Message, Messages};

use self::{message::Payload, uapi::Command};
use crate::{ChainEntry, ElementEntry, RuleEntry, SetEntry, TableEntry};

/// What a message tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A table.
    Table(TableEntry),
    /// A chain.
    Chain(ChainEntry),
    /// A rule.
    Rule(RuleEntry),
    /// A set or map.
    Set(SetEntry),
    /// Some elements of a set or map.
    Elements(Vec<ElementEntry>),
}

impl Object {
    /// Reads a message of nftables: its [type](Message::kind), and its [payload](Body::Data). `None` where it is of
    /// something else than these, or of their removal.
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Option<Self>, Malformed> {
        let is = |command: Command| kind == command.message_type();
        let payload = Payload::of(payload)?;
        Ok(Some(if is(Command::NewTable) {
            Self::Table(object::table(payload)?)
        } else if is(Command::NewChain) {
            Self::Chain(object::chain(payload)?)
        } else if is(Command::NewRule) {
            Self::Rule(rule::rule(payload)?)
        } else if is(Command::NewSet) {
            Self::Set(set::set(payload)?)
        } else if is(Command::NewElement) {
            let mut entries = Vec::new();
            element::elements(payload, &mut entries)?;
            Self::Elements(entries)
        } else {
            return Ok(None);
        }))
    }
}
