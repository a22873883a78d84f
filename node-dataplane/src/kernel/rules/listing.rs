//! The table for people: what each set is for and what is in it; and its end.

use std::net::IpAddr;

use meshlite_nft::{
    Base, Data, ElementEntry, Error, Hook, Nftables, Table, Transaction, UserData, Value, Verdict,
};

use serde::Serialize;

use super::{
    kube_proxy::replaced_by,
    name::{Shape, table},
    refusal::kernel_error,
    skeleton::shared_shapes,
};
use crate::kernel::KernelError;

/// A set of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Listed {
    /// kube-proxy's ipsets whose work it does, with commas; empty where there are none.
    pub(crate) kube_proxy: String,
    /// Its name.
    pub(crate) ours: String,
    /// What it is for.
    pub(crate) purpose: &'static str,
    /// What is in it, as `nft` writes it: `10.96.0.10 . 17 . 53 : 10.244.0.7 . 53`.
    pub(crate) members: Vec<String>,
}

/// The sets that are there, in the order of their names; none where there is no table. `of_backends` are the shapes
/// of sets that only some backends have.
pub(crate) fn list(of_backends: &[&'static [Shape]]) -> Result<Vec<Listed>, KernelError> {
    let list = || {
        let mut nftables = Nftables::connect()?;
        let key = table();
        let mut listed = Vec::new();
        for entry in nftables.sets(&key)? {
            let name = entry.set.key.name.as_str();
            let shapes = shared_shapes().chain(of_backends.iter().copied()).flatten();
            let mut known = shapes.filter_map(|shape| {
                let id = shape.ids().into_iter().find(|id| id.to_string() == name)?;
                Some((replaced_by(&id).join(", "), shape.purpose))
            });
            let (kube_proxy, purpose) = known.next().unwrap_or_default();
            let types = (entry.set.key_type.number(), data_number(&entry.set));
            let members = nftables.elements(&entry.set.key)?;
            listed.push(Listed {
                kube_proxy,
                ours: name.to_owned(),
                purpose,
                members: members.iter().map(|it| member(it, types)).collect(),
            });
        }
        listed.sort_by(|a, b| a.ours.cmp(&b.ours));
        Ok(listed)
    };
    match list() {
        Ok(listed) => Ok(listed),
        Err(Error::NotThere(_)) => Ok(Vec::new()),
        Err(error) => Err(kernel_error(&error)),
    }
}

/// Leaves the table's connections their translation, and lets no new one come to it: its rules go where packets come in
/// or begin. What has passed there is still masqueraded. Says whether there was a table.
pub(crate) fn close() -> Result<bool, KernelError> {
    let close = || {
        let mut nftables = Nftables::connect()?;
        let chains = nftables.chains()?.into_iter().map(|entry| entry.chain);
        let enters = |base: Base| matches!(base.hook, Hook::PREROUTING | Hook::OUTPUT);
        let ours =
            chains.filter(|chain| chain.key.table == table() && chain.base.is_some_and(enters));
        let mut transaction = Transaction::new();
        for chain in ours {
            transaction.flush_chain(&chain.key);
        }
        let closed = nftables.commit(&transaction);
        closed.map_err(|rejected| rejected.first.error)?;
        Ok(transaction.changes() > 0)
    };
    match close() {
        Err(Error::NotThere(_)) => Ok(false),
        closed => closed.map_err(|error: Error| kernel_error(&error)),
    }
}

/// Takes the table away with all that is in it, and nothing else. Says whether there was one. It is closed before: a
/// packet in the middle of its chains would find no virtual server any more, and be refused. There is none once this
/// socket is closed, for which Linux waits.
pub(crate) fn remove() -> Result<bool, KernelError> {
    close()?;
    let remove = || {
        let mut nftables = Nftables::connect()?;
        let key = table();
        if !nftables.tables()?.iter().any(|it| it.table.key == key) {
            return Ok(false);
        }
        let mut transaction = Transaction::new();
        // Added, so that it is no error if somebody else was faster.
        transaction.add_table(&Table {
            key: key.clone(),
            dormant: false,
            user_data: UserData::default(),
        });
        transaction.delete_table(&key);
        match nftables.commit(&transaction) {
            Ok(()) => Ok(true),
            Err(rejected) => Err(rejected.first.error),
        }
    };
    remove().map_err(|error: Error| kernel_error(&error))
}

fn data_number(set: &meshlite_nft::Set) -> u32 {
    match set.data_type {
        Some(meshlite_nft::DataType::Value(data)) => data.number(),
        _ => 0,
    }
}

fn member(entry: &ElementEntry, (key, data): (u32, u32)) -> String {
    let element = &entry.element;
    let text = |value: &Option<Value>, kind| {
        value
            .as_ref()
            .map_or_else(|| "*".to_owned(), |value| fields(value.as_bytes(), kind))
    };
    let mut member = text(&element.key, key);
    if element.key_end.is_some() {
        member = format!("{member} - {}", text(&element.key_end, key));
    }
    if element.interval_end {
        member = format!("up to {member}");
    }
    match &element.data {
        None => member,
        Some(Data::Value(value)) => format!("{member} : {}", fields(value.as_bytes(), data)),
        Some(Data::Verdict(verdict)) => format!("{member} : {}", words(verdict)),
    }
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Continue => "continue".to_owned(),
        Verdict::Break => "break".to_owned(),
        Verdict::Return => "return".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
    }
}

/// Bits of a field's number in a type's.
const FIELD_BITS: u32 = 6;

/// Fields of a value, by the number of its type.
fn fields(bytes: &[u8], kind: u32) -> String {
    let numbers = (0..5)
        .rev()
        .map(|place| (kind >> (place * FIELD_BITS)) & 0x3f);
    let mut rest = bytes;
    let mut texts = Vec::new();
    for number in numbers.skip_while(|number| *number == 0) {
        let Some((text, after)) = field(rest, number) else {
            break;
        };
        texts.push(text);
        rest = after;
    }
    texts.join(" . ")
}

/// `nft`'s numbers of the types that are used here.
fn field(bytes: &[u8], number: u32) -> Option<(String, &[u8])> {
    let (word, after) = bytes.split_at_checked(4).unwrap_or((bytes, &[]));
    Some(match number {
        7 => (IpAddr::from(*word.first_chunk::<4>()?).to_string(), after),
        8 => {
            let (ip, after) = bytes.split_first_chunk::<16>()?;
            (IpAddr::from(*ip).to_string(), after)
        }
        12 => (word.first()?.to_string(), after),
        13 => (
            u16::from_be_bytes(*word.first_chunk::<2>()?).to_string(),
            after,
        ),
        _ => (
            format!("{:#x}", u32::from_ne_bytes(*word.first_chunk::<4>()?)),
            after,
        ),
    })
}
