//! Tables, chains and the generation: `NFTA_TABLE_*`, `NFTA_CHAIN_*`, `NFTA_GEN_*`.

use super::{
    Malformed,
    message::Payload,
    read::{Attributes, AttributesExt as _},
    write::{Writer, WriterExt as _},
};
use crate::{
    Base, Chain, ChainEntry, ChainKey, ChainKind, Generation, Hook, Policy, Table, TableEntry,
    TableKey,
};

const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
const TABLE_HANDLE: u16 = 4;
const TABLE_USERDATA: u16 = 6;
const TABLE_F_DORMANT: u32 = 1;

const CHAIN_TABLE: u16 = 1;
const CHAIN_HANDLE: u16 = 2;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_USE: u16 = 6;
const CHAIN_TYPE: u16 = 7;
const CHAIN_USERDATA: u16 = 12;

const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;

const GEN_ID: u16 = 1;

const KINDS: [(ChainKind, &str); 3] = [
    (ChainKind::Filter, "filter"),
    (ChainKind::Nat, "nat"),
    (ChainKind::Route, "route"),
];

pub(crate) fn put_table_key(w: &mut Writer<'_>, key: &TableKey) {
    w.put_name(TABLE_NAME, &key.name);
}

pub(crate) fn put_table(w: &mut Writer<'_>, table: &Table) {
    put_table_key(w, &table.key);
    w.put_u32(TABLE_FLAGS, if table.dormant { TABLE_F_DORMANT } else { 0 });
    if !table.user_data.is_empty() {
        w.put(TABLE_USERDATA, table.user_data.as_bytes());
    }
}

pub(crate) fn table(payload: Payload<'_>) -> Result<TableEntry, Malformed> {
    let attributes = payload.attributes();
    let flags = attributes
        .u32(TABLE_FLAGS, "NFTA_TABLE_FLAGS")?
        .unwrap_or(0);
    Ok(TableEntry {
        table: Table {
            key: TableKey {
                family: payload.family()?,
                name: attributes.name(TABLE_NAME, "NFTA_TABLE_NAME")?,
            },
            dormant: flags & TABLE_F_DORMANT != 0,
            user_data: attributes.user_data(TABLE_USERDATA)?,
        },
        handle: attributes
            .u64(TABLE_HANDLE, "NFTA_TABLE_HANDLE")?
            .unwrap_or(0),
    })
}

pub(crate) fn put_chain_key(w: &mut Writer<'_>, key: &ChainKey) {
    w.put_name(CHAIN_TABLE, &key.table.name);
    w.put_name(CHAIN_NAME, &key.name);
}

pub(crate) fn put_chain(w: &mut Writer<'_>, chain: &Chain) {
    put_chain_key(w, &chain.key);
    if let Some(base) = chain.base {
        let kind = KINDS.iter().find(|(kind, _)| *kind == base.kind);
        w.put_str(CHAIN_TYPE, kind.map_or("", |(_, name)| name));
        w.nest(CHAIN_HOOK, |w| {
            w.put_u32(HOOK_NUMBER, base.hook.0);
            w.put(HOOK_PRIORITY, &base.priority.to_be_bytes());
        });
        w.put_u32(CHAIN_POLICY, base.policy.number());
    }
    if !chain.user_data.is_empty() {
        w.put(CHAIN_USERDATA, chain.user_data.as_bytes());
    }
}

/// Whether what the kernel found fault with, `offset` bytes into a message, is the kind of a chain.
pub(crate) fn is_chain_kind(message: &[u8], offset: usize) -> bool {
    let attribute = message
        .get(offset..)
        .and_then(|bytes| Attributes(bytes).into_iter().next());
    matches!(attribute, Some(Ok(attribute)) if attribute.kind == CHAIN_TYPE)
}

pub(crate) fn chain(payload: Payload<'_>) -> Result<ChainEntry, Malformed> {
    let attributes = payload.attributes();
    let hook = attributes.find(CHAIN_HOOK)?;
    Ok(ChainEntry {
        chain: Chain {
            key: ChainKey {
                table: TableKey {
                    family: payload.family()?,
                    name: attributes.name(CHAIN_TABLE, "NFTA_CHAIN_TABLE")?,
                },
                name: attributes.name(CHAIN_NAME, "NFTA_CHAIN_NAME")?,
            },
            base: hook
                .map(|hook| base(attributes, hook.nested()))
                .transpose()?,
            user_data: attributes.user_data(CHAIN_USERDATA)?,
        },
        handle: attributes
            .u64(CHAIN_HANDLE, "NFTA_CHAIN_HANDLE")?
            .unwrap_or(0),
        uses: attributes.u32(CHAIN_USE, "NFTA_CHAIN_USE")?.unwrap_or(0),
    })
}

fn base(chain: Attributes<'_>, hook: Attributes<'_>) -> Result<Base, Malformed> {
    let kind = chain
        .need(CHAIN_TYPE, "NFTA_CHAIN_TYPE")?
        .str("NFTA_CHAIN_TYPE")?;
    let kind = KINDS
        .iter()
        .find(|(_, name)| *name == kind)
        .map(|(kind, _)| *kind);
    let policy = chain.need_u32(CHAIN_POLICY, "NFTA_CHAIN_POLICY")?;
    Ok(Base {
        kind: kind.ok_or(Malformed::Text {
            attribute: "NFTA_CHAIN_TYPE",
        })?,
        hook: Hook(hook.need_u32(HOOK_NUMBER, "NFTA_HOOK_HOOKNUM")?),
        priority: hook
            .need_u32(HOOK_PRIORITY, "NFTA_HOOK_PRIORITY")?
            .cast_signed(),
        policy: Policy::from_number(policy).ok_or(Malformed::Value {
            attribute: "NFTA_CHAIN_POLICY",
            value: policy,
        })?,
    })
}

pub(crate) fn generation(payload: Payload<'_>) -> Result<Generation, Malformed> {
    payload
        .attributes()
        .need_u32(GEN_ID, "NFTA_GEN_ID")
        .map(Generation)
}
