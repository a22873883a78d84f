//! Sets and maps: `NFTA_SET_*`.

use std::time::Duration;

use super::{
    Malformed,
    message::Payload,
    read::AttributesExt as _,
    write::{Writer, WriterExt as _},
};
use crate::{DataType, Set, SetEntry, SetFlags, SetKey, TableKey, Type};

const TABLE: u16 = 1;
const NAME: u16 = 2;
const FLAGS: u16 = 3;
const KEY_TYPE: u16 = 4;
const KEY_LEN: u16 = 5;
const DATA_TYPE: u16 = 6;
const DATA_LEN: u16 = 7;
const DESC: u16 = 9;
const ID: u16 = 10;
const TIMEOUT: u16 = 11;
const USERDATA: u16 = 13;
const HANDLE: u16 = 16;

const DESC_SIZE: u16 = 1;
const DESC_CONCAT: u16 = 2;
const FIELD_LEN: u16 = 1;

const F_MAP: u32 = 0x8;
const F_OBJECT: u32 = 0x40;
const F_CONCAT: u32 = 0x80;

/// `NFT_DATA_VERDICT`.
const VERDICT: u32 = 0xffff_ff00;

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn put_table(w: &mut Writer<'_>, table: &TableKey) {
    w.put_name(TABLE, &table.name);
}

pub(crate) fn put_set_key(w: &mut Writer<'_>, key: &SetKey) {
    put_table(w, &key.table);
    w.put_name(NAME, &key.name);
}

/// `id` tells it from others of the same transaction.
pub(crate) fn put_set(w: &mut Writer<'_>, set: &Set, id: u32) {
    // Only ranges need to be told where fields end.
    let fields = if set.flags.contains(SetFlags::INTERVAL) {
        set.key_type.fields().filter(|fields| fields.len() > 1)
    } else {
        None
    };
    let mut flags = set.flags.bits();
    if fields.is_some() {
        flags |= F_CONCAT;
    }
    match set.data_type {
        None => {}
        Some(DataType::Value(_) | DataType::Verdict) => flags |= F_MAP,
        Some(DataType::Object) => flags |= F_OBJECT,
    }
    put_set_key(w, &set.key);
    w.put_u32(FLAGS, flags);
    w.put_u32(KEY_TYPE, set.key_type.number);
    w.put_u32(KEY_LEN, set.key_type.length);
    match set.data_type {
        Some(DataType::Value(data)) => {
            w.put_u32(DATA_TYPE, data.number);
            w.put_u32(DATA_LEN, data.length);
        }
        Some(DataType::Verdict) => w.put_u32(DATA_TYPE, VERDICT),
        Some(DataType::Object) | None => {}
    }
    w.put_u32(ID, id);
    w.nest(DESC, |w| {
        if let Some(size) = set.size {
            w.put_u32(DESC_SIZE, size);
        }
        if let Some(fields) = fields {
            w.nest(DESC_CONCAT, |w| {
                for length in fields {
                    w.item(|w| w.put_u32(FIELD_LEN, length));
                }
            });
        }
    });
    if let Some(timeout) = set.timeout {
        w.put_u64(TIMEOUT, milliseconds(timeout));
    }
    if !set.user_data.is_empty() {
        w.put(USERDATA, set.user_data.as_bytes());
    }
}

pub(crate) fn set(payload: Payload<'_>) -> Result<SetEntry, Malformed> {
    let attributes = payload.attributes();
    let number = |kind, name| attributes.u32(kind, name).map(Option::unwrap_or_default);
    let flags = number(FLAGS, "NFTA_SET_FLAGS")?;
    let data_type = number(DATA_TYPE, "NFTA_SET_DATA_TYPE")?;
    let data_length = number(DATA_LEN, "NFTA_SET_DATA_LEN")?;
    let desc = attributes.inside(DESC)?;
    Ok(SetEntry {
        set: Set {
            key: SetKey {
                table: TableKey {
                    family: payload.family()?,
                    name: attributes.name(TABLE, "NFTA_SET_TABLE")?,
                },
                name: attributes.name(NAME, "NFTA_SET_NAME")?,
            },
            key_type: Type {
                number: number(KEY_TYPE, "NFTA_SET_KEY_TYPE")?,
                length: attributes.need_u32(KEY_LEN, "NFTA_SET_KEY_LEN")?,
            },
            data_type: if flags & F_OBJECT != 0 {
                Some(DataType::Object)
            } else if flags & F_MAP == 0 {
                None
            } else if data_type == VERDICT {
                Some(DataType::Verdict)
            } else {
                Some(DataType::Value(Type {
                    number: data_type,
                    length: data_length,
                }))
            },
            flags: SetFlags::from_bits_truncate(flags),
            timeout: attributes.milliseconds(TIMEOUT, "NFTA_SET_TIMEOUT")?,
            size: desc
                .u32(DESC_SIZE, "NFTA_SET_DESC_SIZE")?
                .filter(|size| *size > 0),
            user_data: attributes.user_data(USERDATA)?,
        },
        handle: attributes.u64(HANDLE, "NFTA_SET_HANDLE")?.unwrap_or(0),
    })
}
