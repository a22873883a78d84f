//! Rules: `NFTA_RULE_*`.

use super::{
    Malformed, expression,
    message::Payload,
    read::{Attributes, AttributesExt as _},
    uapi::LIST_ELEM,
    write::{Writer, WriterExt as _},
};
use crate::{ChainKey, Rule, RuleEntry, TableKey};

const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const HANDLE: u16 = 3;
const EXPRESSIONS: u16 = 4;
const USERDATA: u16 = 7;

pub(crate) fn put_table(w: &mut Writer<'_>, table: &TableKey) {
    w.put_name(TABLE, &table.name);
}

pub(crate) fn put_chain(w: &mut Writer<'_>, chain: &ChainKey) {
    put_table(w, &chain.table);
    w.put_name(CHAIN, &chain.name);
}

pub(crate) fn put_handle(w: &mut Writer<'_>, handle: u64) {
    w.put_u64(HANDLE, handle);
}

pub(crate) fn put_rule(w: &mut Writer<'_>, rule: &Rule) {
    w.nest(EXPRESSIONS, |w| {
        for step in &rule.expressions {
            w.item(|w| expression::put(w, step));
        }
    });
    if !rule.user_data.is_empty() {
        w.put(USERDATA, rule.user_data.as_bytes());
    }
}

pub(crate) fn rule(payload: Payload<'_>) -> Result<RuleEntry, Malformed> {
    let attributes = payload.attributes();
    let expressions = attributes.inside(EXPRESSIONS)?.items();
    Ok(RuleEntry {
        rule: Rule {
            chain: ChainKey {
                table: TableKey {
                    family: payload.family()?,
                    name: attributes.name(TABLE, "NFTA_RULE_TABLE")?,
                },
                name: attributes.name(CHAIN, "NFTA_RULE_CHAIN")?,
            },
            expressions: expressions
                .map(|attributes| expression::read(attributes?))
                .collect::<Result<_, _>>()?,
            user_data: attributes.user_data(USERDATA)?,
        },
        handle: attributes.u64(HANDLE, "NFTA_RULE_HANDLE")?.unwrap_or(0),
    })
}

/// Whether a rule that was refused with `ENOENT` names an expression that the kernel lacks, rather than a chain or set
/// that is not there: `offset` is where in its message the kernel found fault.
pub(crate) fn lacks_expression(message: &[u8], offset: usize) -> bool {
    let Some(item) = message.get(offset..) else {
        return false;
    };
    match Attributes(item).into_iter().next() {
        Some(Ok(attribute)) if attribute.kind == LIST_ELEM => {
            !expression::names_an_object(attribute.nested())
        }
        _ => false,
    }
}
