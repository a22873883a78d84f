//! The handle on the kernel's nftables.

use std::io;

use meshlite_netlink::{KernelSocket, Refusal};

use crate::{
    ChainEntry, ElementEntry, Error, Family, Generation, Rejected, RuleEntry, SetEntry, SetKey,
    TableEntry, TableKey, Transaction,
    codec::{
        Malformed, element,
        message::Payload,
        object, rule, set,
        uapi::{Command, NLM_F_DUMP, NLM_F_REQUEST},
        write::{Header, Writer},
    },
    exchange::{Exchange, Question},
};

/// nftables of one network namespace: that which the thread was in when it called [`connect`](Self::connect).
///
/// Nothing here waits for anybody but the kernel, which does all work within the system calls. What takes time is the
/// processor's, so an asynchronous program calls from a thread for blocking work, or from one of its own. Several
/// handles work side by side; the kernel makes one transaction at a time.
///
/// Each list is of one state of the ruleset. That two of them are of the same is sure only if
/// [`generation`](Self::generation) is equal before and after.
#[derive(Debug)]
pub struct Nftables {
    exchange: Exchange<KernelSocket>,
}

impl Nftables {
    /// Finds the kernel's nftables. [`Error::NotSupported`] where there is none, [`Error::NoPermission`] without
    /// `CAP_NET_ADMIN`.
    pub fn connect() -> Result<Self, Error> {
        let mut nftables = Self {
            exchange: Exchange::new(KernelSocket::netfilter().map_err(unsupported)?),
        };
        nftables.generation()?;
        Ok(nftables)
    }

    /// Which state the ruleset is in.
    pub fn generation(&mut self) -> Result<Generation, Error> {
        self.exchange.generation()
    }

    /// Makes a transaction: all of it at once, for packets and other programs alike, or nothing.
    ///
    /// ```no_run
    /// # use meshlite_nft::*;
    /// # fn f(table: Table) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut nftables = Nftables::connect()?;
    /// let mut transaction = Transaction::at(nftables.generation()?);
    /// transaction.add_table(&table);
    /// match nftables.commit(&transaction) {
    ///     Err(Rejected { first: Failure { error: Error::Conflict, .. }, .. }) => {} // read again
    ///     outcome => outcome?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit(&mut self, transaction: &Transaction) -> Result<(), Rejected> {
        self.exchange.commit(transaction)
    }

    /// All tables of all families, also those of others.
    pub fn tables(&mut self) -> Result<Vec<TableEntry>, Error> {
        self.list(Command::GetTable, None, &|_| {}, object::table)
    }

    /// All chains of all tables, also those of others.
    pub fn chains(&mut self) -> Result<Vec<ChainEntry>, Error> {
        self.list(Command::GetChain, None, &|_| {}, object::chain)
    }

    /// The rules of a table, chain by chain, in their order. None, too, where there is no such table: the kernel does
    /// not tell the two apart.
    pub fn rules(&mut self, table: &TableKey) -> Result<Vec<RuleEntry>, Error> {
        let ask = |w: &mut Writer<'_>| rule::put_table(w, table);
        self.list(Command::GetRule, Some(table.family), &ask, rule::rule)
    }

    /// The sets and maps of a table.
    pub fn sets(&mut self, table: &TableKey) -> Result<Vec<SetEntry>, Error> {
        let ask = |w: &mut Writer<'_>| set::put_table(w, table);
        self.list(Command::GetSet, Some(table.family), &ask, set::set)
    }

    /// The elements of a set or map, in the order of their keys. [`Error::NotThere`] where there is no such set.
    ///
    /// Elements that come and go meanwhile by rules, by their timeouts, or by a transaction that is under way may be
    /// missing, and the kernel may lose others over them. What is read of a set that only one program changes, between
    /// its changes, is whole.
    pub fn elements(&mut self, set: &SetKey) -> Result<Vec<ElementEntry>, Error> {
        let family = Some(set.table.family);
        let header = Header::of(Command::GetElement, NLM_F_REQUEST | NLM_F_DUMP, 0, family);
        let write = |w: &mut Writer<'_>| element::put_set_key(w, set);
        let question = Question {
            header,
            write: &write,
        };
        self.exchange
            .list(&question, element::elements, sort_if_whole)
    }

    fn list<V>(
        &mut self,
        command: Command,
        family: Option<Family>,
        write: &dyn Fn(&mut Writer<'_>),
        read: impl Fn(Payload<'_>) -> Result<V, Malformed>,
    ) -> Result<Vec<V>, Error> {
        let header = Header::of(command, NLM_F_REQUEST | NLM_F_DUMP, 0, family);
        let question = Question { header, write };
        let take = |payload: Payload<'_>, list: &mut Vec<V>| {
            list.push(read(payload)?);
            Ok(())
        };
        self.exchange.list(&question, take, |_| true)
    }
}

/// Sorts elements, and says whether they are all of their set. The kernel's walk through a hash begins anew where it was
/// resized meanwhile, and finds its way back into a long list by counting: then some elements come twice, and as many
/// others not at all.
fn sort_if_whole(entries: &mut [ElementEntry]) -> bool {
    entries.sort_unstable();
    entries.windows(2).all(|pair| {
        let [a, b] = [&pair[0].element, &pair[1].element];
        (&a.key, &a.key_end, a.interval_end) != (&b.key, &b.key_end, b.interval_end)
    })
}

/// A kernel without netlink or its netfilter kind has no nftables either.
fn unsupported(error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno @ (libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT)) => {
            Error::NotSupported(Refusal::of(errno))
        }
        _ => error.into(),
    }
}
