//! Linux nftables over netlink.
//!
//! ```text
//! Table, Chain, Rule, Set, Element ──> Transaction ──> netlink socket ──> kernel: all of it, or Rejected
//! kernel ──> netlink socket ──> TableEntry, ChainEntry, RuleEntry, SetEntry, ElementEntry
//! ```
//!
//! Input: changes of a ruleset, as plain values. Output: what the kernel has, as the same values, and why it did not take
//! a change, by the place of that change. [`Nftables`] is the handle; [`Transaction`] is pure. No `unsafe`, no C library,
//! no process started; needs Linux 5.6 and `CAP_NET_ADMIN`.
#![doc = include_str!("../README.md")]

pub mod codec;
mod error;
mod exchange;
mod expression;
mod name;
mod nftables;
mod numbered;
mod object;
mod transaction;
mod value;

pub use error::{Error, Failure, Place, Rejected};
pub use expression::{
    Comparison, ConntrackKey, ConntrackState, Direction, DynsetOperation, Expression, FibFlags,
    FibResult, Icmpx, Lookup, MetaKey, NatFlags, NatKind, NumgenKind, PayloadBase, Register,
    Reject,
};
pub use meshlite_netlink::{Malformed, Refusal};
pub use name::{ChainKey, Family, InvalidName, Name, SetKey, TableKey};
pub use nftables::Nftables;
pub use object::{
    Base, Chain, ChainEntry, ChainKind, DataType, Element, ElementEntry, Hook, Policy, Rule,
    RuleEntry, Set, SetEntry, SetFlags, Table, TableEntry, UserData,
};
pub use transaction::{Generation, Transaction};
pub use value::{Data, Field, InvalidValue, Type, Value, Verdict};
