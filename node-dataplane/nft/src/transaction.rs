//! Transactions: changes in their order, written as one batch. Pure.

use meshlite_netlink::Refusal;

use crate::{
    Chain, ChainKey, Element, Error, Failure, Place, Rule, Set, SetKey, Table, TableKey,
    codec::{
        element, object, rule, set,
        uapi::{
            BATCH_BEGIN, BATCH_END, BATCH_GENID, Command, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE,
            NLM_F_REPLACE, NLM_F_REQUEST, SUBSYSTEM,
        },
        write::{Header, Overlong, Writer, WriterExt as _},
    },
};

/// Which state of the ruleset: the kernel counts up with every transaction in the network namespace, whoever makes it.
/// It is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(pub(crate) u32);

impl Generation {
    /// The one after the next transaction, if that is made by whoever asks.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.wrapping_add(1) {
            0 => Self(1),
            next => Self(next),
        }
    }
}

/// Changes that are made all at once, or not at all.
///
/// Each call adds one change; an error names it by its place among the calls. What is added may be used by the changes
/// after it. Adding what is there already, and is the same, is no error.
///
/// ```
/// use meshlite_nft::{Family, Table, TableKey, Transaction, UserData};
/// let key = TableKey { family: Family::Inet, name: "example".parse()? };
/// let mut transaction = Transaction::new();
/// // Added first, so that deleting it is no error where it was not there.
/// let table = Table { key, dormant: false, user_data: UserData::comment("by example") };
/// transaction.add_table(&table);
/// transaction.delete_table(&table.key);
/// transaction.add_table(&table);
/// assert_eq!(transaction.changes(), 3);
/// # Ok::<(), meshlite_nft::InvalidName>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transaction {
    /// The beginning, a message or more for each change, and the end.
    bytes: Vec<u8>,
    /// Where the end begins.
    end: usize,
    /// The messages of changes. The first has the sequence number 1.
    messages: Vec<Start>,
    changes: usize,
    /// The first message that is longer than netlink can say.
    overlong: Option<Place>,
}

/// Where a message begins, and what it is about.
#[derive(Clone, Copy, Debug)]
struct Start {
    offset: usize,
    change: usize,
    /// Of a change with elements, the first in it.
    element: Option<usize>,
}

/// Room for a few changes, in bytes.
const USUAL: usize = 1024;

impl Default for Transaction {
    fn default() -> Self {
        Self::new()
    }
}

impl Transaction {
    /// One without changes, for whatever state the ruleset is in.
    pub fn new() -> Self {
        Self::begin(None)
    }

    /// One without changes that is made only if nobody, whatever the table, changed the ruleset since it was of this
    /// generation. Else it is [`Error::Conflict`].
    pub fn at(generation: Generation) -> Self {
        Self::begin(Some(generation))
    }

    fn begin(generation: Option<Generation>) -> Self {
        let mut transaction = Self {
            bytes: Vec::with_capacity(USUAL),
            end: 0,
            messages: Vec::new(),
            changes: 0,
            overlong: None,
        };
        let header = batch(BATCH_BEGIN, 0);
        let mut w = header.begin(&mut transaction.bytes);
        if let Some(Generation(generation)) = generation {
            w.put_u32(BATCH_GENID, generation);
        }
        let written = w.end();
        transaction.close(written, Place::Whole);
        transaction
    }

    /// How many changes it has.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// How long it is, in bytes: the kernel takes it in one piece.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a table, or changes whether one is dormant.
    pub fn add_table(&mut self, table: &Table) {
        self.change(Command::NewTable, NLM_F_CREATE, &table.key, |w| {
            object::put_table(w, table);
        });
    }

    /// Deletes a table with all that is in it.
    pub fn delete_table(&mut self, key: &TableKey) {
        self.change(Command::DelTable, 0, key, |w| object::put_table_key(w, key));
    }

    /// Adds a chain, or changes the policy of a base chain.
    pub fn add_chain(&mut self, chain: &Chain) {
        let table = &chain.key.table;
        self.change(Command::NewChain, NLM_F_CREATE, table, |w| {
            object::put_chain(w, chain);
        });
    }

    /// Deletes a chain with its rules. [`Error::InUse`] while any rule or element leads to it.
    pub fn delete_chain(&mut self, key: &ChainKey) {
        self.change(Command::DelChain, 0, &key.table, |w| {
            object::put_chain_key(w, key);
        });
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, key: &ChainKey) {
        self.change(Command::DelRule, 0, &key.table, |w| rule::put_chain(w, key));
    }

    /// Adds a rule at the end of its chain.
    pub fn add_rule(&mut self, rule: &Rule) {
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        self.change(Command::NewRule, flags, &rule.chain.table, |w| {
            rule::put_chain(w, &rule.chain);
            rule::put_rule(w, rule);
        });
    }

    /// Puts a rule where the one with this handle is.
    pub fn replace_rule(&mut self, handle: u64, rule: &Rule) {
        self.change(Command::NewRule, NLM_F_REPLACE, &rule.chain.table, |w| {
            rule::put_chain(w, &rule.chain);
            rule::put_handle(w, handle);
            rule::put_rule(w, rule);
        });
    }

    /// Deletes the rule with this handle.
    pub fn delete_rule(&mut self, chain: &ChainKey, handle: u64) {
        self.change(Command::DelRule, 0, &chain.table, |w| {
            rule::put_chain(w, chain);
            rule::put_handle(w, handle);
        });
    }

    /// Adds a set or map.
    pub fn add_set(&mut self, set: &Set) {
        // Any number will do that no other set of the transaction has.
        let id = u32::try_from(self.changes).unwrap_or(u32::MAX);
        self.change(Command::NewSet, NLM_F_CREATE, &set.key.table, |w| {
            set::put_set(w, set, id);
        });
    }

    /// Deletes a set or map with its elements. [`Error::InUse`] while any rule uses it.
    pub fn delete_set(&mut self, key: &SetKey) {
        self.change(Command::DelSet, 0, &key.table, |w| set::put_set_key(w, key));
    }

    /// Deletes all elements of a set or map.
    pub fn flush_set(&mut self, key: &SetKey) {
        self.change(Command::DelElement, 0, &key.table, |w| {
            element::put_set_key(w, key);
        });
    }

    /// Adds elements to a set or map: one change, of as many messages as they need. [`Error::Exists`] where a map has
    /// something else for a key: delete that first.
    pub fn add_elements(&mut self, key: &SetKey, elements: impl IntoIterator<Item = Element>) {
        self.elements(Command::NewElement, NLM_F_CREATE, key, elements);
    }

    /// Deletes elements of a set or map: one change, of as many messages as they need. What a map has for them plays
    /// no part.
    pub fn delete_elements(&mut self, key: &SetKey, elements: impl IntoIterator<Item = Element>) {
        self.elements(Command::DelElement, 0, key, elements);
    }

    fn change(
        &mut self,
        command: Command,
        flags: u16,
        table: &TableKey,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let change = self.changes;
        self.message(command, flags, table, None, write);
        self.changes = change + 1;
    }

    fn elements(
        &mut self,
        command: Command,
        flags: u16,
        key: &SetKey,
        elements: impl IntoIterator<Item = Element>,
    ) {
        let mut elements = elements.into_iter().peekable();
        let mut done = 0;
        // None at all would mean all of them.
        while elements.peek().is_some() {
            self.message(command, flags, &key.table, Some(done), |w| {
                element::put_set_key(w, key);
                done += element::put_elements(w, &mut elements);
            });
        }
        self.changes += 1;
    }

    /// Writes a message of the change that is next.
    fn message(
        &mut self,
        command: Command,
        flags: u16,
        table: &TableKey,
        element: Option<usize>,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let change = self.changes;
        self.bytes.truncate(self.end);
        // One answer is enough to know that all was done; the kernel sends it when it has.
        let acknowledge = if self.messages.is_empty() {
            NLM_F_ACK
        } else {
            0
        };
        let flags = NLM_F_REQUEST | acknowledge | flags;
        self.messages.push(Start {
            offset: self.end,
            change,
            element,
        });
        let header = Header::of(command, flags, self.sequence(), Some(table.family));
        let mut w = header.begin(&mut self.bytes);
        write(&mut w);
        let written = w.end();
        self.close(written, Place::Change(change));
    }

    /// Writes the end after what was written.
    fn close(&mut self, written: Result<(), Overlong>, place: Place) {
        self.end = self.bytes.len();
        let header = batch(BATCH_END, self.sequence().wrapping_add(1));
        let ended = header.begin(&mut self.bytes).end();
        if written.and(ended).is_err() {
            self.overlong.get_or_insert(place);
        }
    }

    /// That of the last message.
    fn sequence(&self) -> u32 {
        u32::try_from(self.messages.len()).unwrap_or(u32::MAX)
    }

    /// What is sent, all of it in one datagram; `None` if there is nothing to do. [`Error::TooLarge`] where a change is
    /// longer than netlink can say.
    pub fn bytes(&self) -> Result<Option<&[u8]>, Failure> {
        match self.overlong {
            Some(place) => Err(Failure {
                place,
                error: Error::TooLarge,
            }),
            None => Ok((!self.messages.is_empty()).then_some(self.bytes.as_slice())),
        }
    }

    /// Whether it is the acknowledgement of the whole that has this sequence number.
    pub(crate) fn is_acknowledged_by(sequence: u32) -> bool {
        sequence == 1
    }

    /// What the refusal of the message with this sequence number says.
    pub(crate) fn failure(&self, sequence: u32, refusal: Refusal) -> Failure {
        let index = usize::try_from(sequence)
            .ok()
            .and_then(|number| number.checked_sub(1));
        let Some((index, start)) = index.and_then(|i| Some((i, self.messages.get(i)?))) else {
            return Failure {
                place: Place::Whole,
                error: Error::of(refusal),
            };
        };
        let end = self
            .messages
            .get(index + 1)
            .map_or(self.end, |next| next.offset);
        let message = &self.bytes[start.offset..end];
        let change = start.change;
        let found = |first| Some(first + element::element_at(message, refusal.offset?)?);
        let place = match start.element.and_then(found) {
            Some(element) => Place::Element { change, element },
            None => Place::Change(change),
        };
        let is_unsupported = refusal.errno == libc::ENOENT
            && refusal
                .offset
                .is_some_and(|offset| is_part_of_kernel(message, offset));
        let error = if is_unsupported {
            Error::NotSupported(refusal)
        } else {
            Error::of(refusal)
        };
        Failure { place, error }
    }
}

/// Whether what the kernel did not find, `offset` bytes into a message, is a part of itself: an expression or a kind of
/// chain. That it says with the same error number as that there is no such object.
fn is_part_of_kernel(message: &[u8], offset: usize) -> bool {
    let Some(&[k0, k1]) = message.get(4..6) else {
        return false;
    };
    let kind = u16::from_ne_bytes([k0, k1]);
    if kind == Command::NewRule.message_type() {
        rule::lacks_expression(message, offset)
    } else {
        kind == Command::NewChain.message_type() && object::is_chain_kind(message, offset)
    }
}

fn batch(kind: u16, sequence: u32) -> Header {
    Header {
        kind,
        flags: NLM_F_REQUEST,
        sequence,
        family: 0,
        resource: SUBSYSTEM,
    }
}
