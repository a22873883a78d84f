//! What a ruleset is made of: tables, chains, rules, sets and their elements, as they should be and as the kernel has them.

use std::time::Duration;

use crate::{ChainKey, Data, Expression, SetKey, TableKey, Type, Value, numbered::numbered};

/// Bytes that the kernel keeps with an object and does not look at: up to 256 (of a table, chain or set up to 64 KiB
/// less what else its message has).
///
/// `nft` keeps comments there, in a layout of its own; what it cannot read it leaves out. [`comment`](Self::comment)
/// writes that layout.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserData(Box<[u8]>);

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// Which.
    pub key: TableKey,
    /// Whether its base chains are taken off their hooks.
    pub dormant: bool,
    /// Since Linux 5.10.
    pub user_data: UserData,
}

/// A table as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableEntry {
    /// As it would be added.
    pub table: Table,
    /// A number that no other table of the namespace had or gets.
    pub handle: u64,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Which.
    pub key: ChainKey,
    /// Where packets enter it by themselves. `None`: only from other chains.
    pub base: Option<Base>,
    /// Since Linux 5.10.
    pub user_data: UserData,
}

/// A chain as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChainEntry {
    /// As it would be added.
    pub chain: Chain,
    /// A number that no other chain of the table had or gets.
    pub handle: u64,
    /// How many rules it has, and rules and elements that lead to it.
    pub uses: u32,
}

/// What makes a chain a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Base {
    /// What it may do.
    pub kind: ChainKind,
    /// Where.
    pub hook: Hook,
    /// When, among all that hang there: lower ones first. Destination NAT is at −100, filters at 0, source NAT at 100.
    pub priority: i32,
    /// What becomes of packets that come to its end.
    pub policy: Policy,
}

/// What a base chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainKind {
    /// Let pass and drop.
    Filter,
    /// Translate addresses; sees the first packet of a connection only.
    Nat,
    /// Like a filter on output, and routes anew where it changed the packet.
    Route,
}

/// Where in a packet's way a base chain hangs: `NF_INET_*`, whose numbers other families share in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hook(pub u32);

impl Hook {
    /// All packets that arrive, before routing.
    pub const PREROUTING: Self = Self(0);
    /// Those for this host.
    pub const INPUT: Self = Self(1);
    /// Those for others.
    pub const FORWARD: Self = Self(2);
    /// Those that this host sends.
    pub const OUTPUT: Self = Self(3);
    /// All that leave, after routing.
    pub const POSTROUTING: Self = Self(4);
}

numbered! {
    /// What becomes of packets at the end of a base chain: `NF_DROP`, `NF_ACCEPT`.
    Policy {
        /// They are gone.
        Drop = 0,
        /// They pass.
        Accept = 1,
    }
}

/// A rule: its expressions in their order, until one ends it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Whose end it is put at.
    pub chain: ChainKey,
    /// What it does; 128 at most.
    pub expressions: Vec<Expression>,
    /// Of the rule.
    pub user_data: UserData,
}

/// A rule as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleEntry {
    /// As it would be added; counters have counted since.
    pub rule: Rule,
    /// A number that no other rule of the table had or gets.
    pub handle: u64,
}

bitflags::bitflags! {
    /// What a set can do: `NFT_SET_*`. That it is a map, or has concatenated ranges, is not said here but follows.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct SetFlags: u32 {
        /// It has no name of its own and lives with one rule. `nft` makes such; this crate only reads them.
        const ANONYMOUS = 0x1;
        /// Its elements stay as they are once a rule uses it.
        const CONSTANT = 0x2;
        /// Elements are ranges.
        const INTERVAL = 0x4;
        /// Elements may have timeouts.
        const TIMEOUT = 0x10;
        /// Rules add elements: [`Expression::Dynset`].
        const DYNAMIC = 0x20;
    }
}

/// A set, or a map where it has data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    /// Which.
    pub key: SetKey,
    /// What its keys are. Ranges of several fields (Linux 5.6) need a [`Type::concat`] of the constants of [`Type`].
    pub key_type: Type,
    /// What it has for a key, if it is a map.
    pub data_type: Option<DataType>,
    /// What it can do.
    pub flags: SetFlags,
    /// How long its elements live that say nothing themselves; whole milliseconds.
    pub timeout: Option<Duration>,
    /// How many elements it has room for. `None`: as many as come; but sets that rules add to need a number.
    pub size: Option<u32>,
    /// Of the set.
    pub user_data: UserData,
}

/// What a map has for its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// Values.
    Value(Type),
    /// Verdicts.
    Verdict,
    /// Stateful objects, of which this crate knows no more.
    Object,
}

/// A set as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetEntry {
    /// As it would be added.
    pub set: Set,
    /// A number that no other set of the table had or gets.
    pub handle: u64,
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// What is looked up; of a range the first. `None`: what no other element has (Linux 5.13).
    pub key: Option<Value>,
    /// The last of a range of several fields, or of a range of one where the set's kernel keeps them so.
    pub key_end: Option<Value>,
    /// Whether this is no member, but the first key after a range of one field.
    pub interval_end: bool,
    /// What a map has for it.
    pub data: Option<Data>,
    /// How long it lives; whole milliseconds.
    pub timeout: Option<Duration>,
    /// Of the element.
    pub user_data: UserData,
}

/// An element as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementEntry {
    /// As it would be added.
    pub element: Element,
    /// How long it still lives; whole milliseconds.
    pub expires: Option<Duration>,
}

// === impl UserData ===

/// Kinds of entries in user data, as `nft` lays it out: `NFTNL_UDATA_*`.
const COMMENT: u8 = 0;
const SET_KEY_BYTE_ORDER: u8 = 0;
const SET_DATA_BYTE_ORDER: u8 = 1;
const SET_COMMENT: u8 = 7;
/// `nft`'s own number for the machine's byte order.
const HOST_ENDIAN: u32 = 1;
/// The longest comment that `nft` takes, in bytes.
const MAX_COMMENT: usize = 127;

impl UserData {
    /// Bytes as they are.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// A comment that `nft` shows, on anything but a set. Cut after 127 bytes.
    pub fn comment(text: &str) -> Self {
        Self::default().and_text(COMMENT, text)
    }

    /// A comment that `nft` shows, on a set or map. Cut after 127 bytes.
    pub fn set_comment(text: &str) -> Self {
        Self::default().and_text(SET_COMMENT, text)
    }

    /// Tells `nft` that a set's keys are numbers in the machine's own order, so that it shows them right. Of concatenated
    /// keys it knows by itself.
    #[must_use]
    pub fn and_native_keys(self) -> Self {
        self.and(SET_KEY_BYTE_ORDER, &HOST_ENDIAN.to_ne_bytes())
    }

    /// Tells `nft` that a map's data are numbers in the machine's own order, so that it shows them right.
    #[must_use]
    pub fn and_native_data(self) -> Self {
        self.and(SET_DATA_BYTE_ORDER, &HOST_ENDIAN.to_ne_bytes())
    }

    fn and_text(self, kind: u8, text: &str) -> Self {
        let text = text
            .get(..text.floor_char_boundary(MAX_COMMENT))
            .unwrap_or(text);
        self.and(kind, &[text.as_bytes(), &[0]].concat())
    }

    /// Adds an entry: its kind, its length, and what it is.
    fn and(self, kind: u8, value: &[u8]) -> Self {
        let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
        Self([&self.0, &[kind, length][..], value].concat().into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl Set ===

impl Set {
    /// A set of single keys without timeouts, as many as come.
    pub fn new(key: SetKey, key_type: Type) -> Self {
        Self {
            key,
            key_type,
            data_type: None,
            flags: SetFlags::empty(),
            timeout: None,
            size: None,
            user_data: UserData::default(),
        }
    }

    /// A map from single keys to values.
    pub fn map(key: SetKey, key_type: Type, data: Type) -> Self {
        let data_type = Some(DataType::Value(data));
        Self {
            data_type,
            ..Self::new(key, key_type)
        }
    }

    /// A map from single keys to verdicts.
    pub fn verdict_map(key: SetKey, key_type: Type) -> Self {
        let data_type = Some(DataType::Verdict);
        Self {
            data_type,
            ..Self::new(key, key_type)
        }
    }
}

// === impl Element ===

impl Element {
    /// A member of a set.
    pub fn new(key: Value) -> Self {
        Self {
            key: Some(key),
            key_end: None,
            interval_end: false,
            data: None,
            timeout: None,
            user_data: UserData::default(),
        }
    }

    /// An entry of a map.
    pub fn mapping(key: Value, data: Data) -> Self {
        let data = Some(data);
        Self {
            data,
            ..Self::new(key)
        }
    }

    /// A range of several fields, both ends in it.
    pub fn concat_range(first: Value, last: Value) -> Self {
        let key_end = Some(last);
        Self {
            key_end,
            ..Self::new(first)
        }
    }

    /// A range of one field, both ends in it: its first element, and the end mark after it unless it ends with the
    /// last key there is.
    pub fn range(first: Value, last: &Value) -> impl Iterator<Item = Self> {
        let end = successor(last).map(|key| Self {
            interval_end: true,
            ..Self::new(key)
        });
        [Self::new(first)].into_iter().chain(end)
    }
}

/// The next key; `None` after the last.
fn successor(value: &Value) -> Option<Value> {
    let mut bytes: Box<[u8]> = value.as_bytes().into();
    for byte in bytes.iter_mut().rev() {
        let (next, carries) = byte.overflowing_add(1);
        *byte = next;
        if !carries {
            return Value::new(bytes).ok();
        }
    }
    None
}
