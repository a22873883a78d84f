//! Values and verdicts in attributes: `NFTA_DATA_*`, `NFTA_VERDICT_*`.

use super::{
    Malformed,
    read::{Attributes, AttributesExt as _},
    write::{Writer, WriterExt as _},
};
use crate::{Data, Value, Verdict};

const VALUE: u16 = 1;
const VERDICT: u16 = 2;

const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// Codes are negative numbers of the kernel's, but for those of netfilter itself.
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFT_CONTINUE: u32 = u32::MAX;
const NFT_BREAK: u32 = u32::MAX - 1;
const NFT_JUMP: u32 = u32::MAX - 2;
const NFT_GOTO: u32 = u32::MAX - 3;
const NFT_RETURN: u32 = u32::MAX - 4;

pub(super) fn put_value(w: &mut Writer<'_>, kind: u16, value: &Value) {
    w.nest(kind, |w| w.put(VALUE, value.as_bytes()));
}

pub(super) fn put_data(w: &mut Writer<'_>, kind: u16, data: &Data) {
    match data {
        Data::Value(value) => put_value(w, kind, value),
        Data::Verdict(verdict) => put_verdict(w, kind, verdict),
    }
}

pub(super) fn put_verdict(w: &mut Writer<'_>, kind: u16, verdict: &Verdict) {
    let (code, chain) = match verdict {
        Verdict::Drop => (NF_DROP, None),
        Verdict::Accept => (NF_ACCEPT, None),
        Verdict::Continue => (NFT_CONTINUE, None),
        Verdict::Break => (NFT_BREAK, None),
        Verdict::Return => (NFT_RETURN, None),
        Verdict::Jump(chain) => (NFT_JUMP, Some(chain)),
        Verdict::Goto(chain) => (NFT_GOTO, Some(chain)),
    };
    w.nest(kind, |w| {
        w.nest(VERDICT, |w| {
            w.put_u32(VERDICT_CODE, code);
            if let Some(chain) = chain {
                w.put_name(VERDICT_CHAIN, chain);
            }
        });
    });
}

/// Reads what is in an attribute of data.
pub(super) fn data(attributes: Attributes<'_>) -> Result<Data, Malformed> {
    if let Some(value) = attributes.find(VALUE)? {
        let bytes = value.bytes();
        let value = Value::new(bytes).map_err(|_no_value| Malformed::Size {
            attribute: "NFTA_DATA_VALUE",
            length: bytes.len(),
        })?;
        return Ok(Data::Value(value));
    }
    let verdict = attributes.need(VERDICT, "NFTA_DATA_VERDICT")?.nested();
    let code = verdict.need_u32(VERDICT_CODE, "NFTA_VERDICT_CODE")?;
    let chain = || verdict.name(VERDICT_CHAIN, "NFTA_VERDICT_CHAIN");
    Ok(Data::Verdict(match code {
        NF_DROP => Verdict::Drop,
        NF_ACCEPT => Verdict::Accept,
        NFT_CONTINUE => Verdict::Continue,
        NFT_BREAK => Verdict::Break,
        NFT_RETURN => Verdict::Return,
        NFT_JUMP => Verdict::Jump(chain()?),
        NFT_GOTO => Verdict::Goto(chain()?),
        value => {
            return Err(Malformed::Value {
                attribute: "NFTA_VERDICT_CODE",
                value,
            });
        }
    }))
}

/// Reads an attribute that must have a value and no verdict.
pub(super) fn value(
    attributes: Attributes<'_>,
    kind: u16,
    name: &'static str,
) -> Result<Value, Malformed> {
    match data(attributes.need(kind, name)?.nested())? {
        Data::Value(value) => Ok(value),
        Data::Verdict(_) => Err(Malformed::Missing(name)),
    }
}
