//! Elements of sets and maps: `NFTA_SET_ELEM_*`.

use super::{
    Malformed,
    message::Payload,
    read::{Attribute, Attributes, AttributesExt as _},
    set::milliseconds,
    value,
    write::{HEADERS, Writer, WriterExt as _},
};
use crate::{Data, Element, ElementEntry, SetKey, Value};

const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;

const KEY: u16 = 1;
const DATA: u16 = 2;
const FLAGS: u16 = 3;
const TIMEOUT: u16 = 4;
const EXPIRATION: u16 = 5;
const USERDATA: u16 = 6;
const KEY_END: u16 = 10;

const F_INTERVAL_END: u32 = 1;
const F_CATCHALL: u32 = 2;

/// Bytes of the headers of attributes, as they are counted by offsets.
const ATTRIBUTE_HEADER: usize = 4;
/// No element takes more of a message, in bytes: two keys and data of 64, user data of 256, and headers.
const MAX_ELEMENT: usize = 1024;
/// A list of elements ends before its attribute would be too long to say so.
const MAX_LIST: usize = 0xffff - MAX_ELEMENT;

pub(crate) fn put_set_key(w: &mut Writer<'_>, key: &SetKey) {
    w.put_name(LIST_TABLE, &key.table.name);
    w.put_name(LIST_SET, &key.name);
}

/// Writes as many as one message has room for. Says how many.
pub(crate) fn put_elements(
    w: &mut Writer<'_>,
    elements: &mut impl Iterator<Item = Element>,
) -> usize {
    let mut count = 0;
    w.nest(LIST_ELEMENTS, |w| {
        let start = w.len();
        while w.len() - start < MAX_LIST {
            let Some(element) = elements.next() else {
                break;
            };
            w.item(|w| put_element(w, &element));
            count += 1;
        }
    });
    count
}

fn put_element(w: &mut Writer<'_>, element: &Element) {
    let mut flags = 0;
    match &element.key {
        Some(key) => value::put_value(w, KEY, key),
        None => flags |= F_CATCHALL,
    }
    if element.interval_end {
        flags |= F_INTERVAL_END;
    }
    if let Some(key_end) = &element.key_end {
        value::put_value(w, KEY_END, key_end);
    }
    if let Some(data) = &element.data {
        value::put_data(w, DATA, data);
    }
    if flags != 0 {
        w.put_u32(FLAGS, flags);
    }
    if let Some(timeout) = element.timeout {
        w.put_u64(TIMEOUT, milliseconds(timeout));
    }
    if !element.user_data.is_empty() {
        w.put(USERDATA, element.user_data.as_bytes());
    }
}

/// Reads the elements of one message.
pub(crate) fn elements(
    payload: Payload<'_>,
    into: &mut Vec<ElementEntry>,
) -> Result<(), Malformed> {
    for attributes in payload.attributes().inside(LIST_ELEMENTS)?.items() {
        into.push(element(attributes?)?);
    }
    Ok(())
}

fn element(attributes: Attributes<'_>) -> Result<ElementEntry, Malformed> {
    let flags = attributes.u32(FLAGS, "NFTA_SET_ELEM_FLAGS")?.unwrap_or(0);
    let data = attributes.find(DATA)?;
    let key = |kind, name| match attributes.find(kind)? {
        Some(_) => value::value(attributes, kind, name).map(Some),
        None => Ok::<Option<Value>, Malformed>(None),
    };
    Ok(ElementEntry {
        element: Element {
            key: key(KEY, "NFTA_SET_ELEM_KEY")?,
            key_end: key(KEY_END, "NFTA_SET_ELEM_KEY_END")?,
            interval_end: flags & F_INTERVAL_END != 0,
            data: data.map(read_data).transpose()?,
            timeout: attributes.milliseconds(TIMEOUT, "NFTA_SET_ELEM_TIMEOUT")?,
            user_data: attributes.user_data(USERDATA)?,
        },
        expires: attributes.milliseconds(EXPIRATION, "NFTA_SET_ELEM_EXPIRATION")?,
    })
}

fn read_data(attribute: Attribute<'_>) -> Result<Data, Malformed> {
    value::data(attribute.nested())
}

/// Which element of a message the kernel found fault with, `offset` bytes into it. `None`: with none of them.
pub(crate) fn element_at(message: &[u8], offset: usize) -> Option<usize> {
    let mut position = HEADERS;
    for attribute in Attributes(message.get(HEADERS..)?)
        .into_iter()
        .map_while(Result::ok)
    {
        if attribute.kind == LIST_ELEMENTS {
            let inside = offset.checked_sub(position + ATTRIBUTE_HEADER)?;
            let mut end = 0;
            return attribute
                .nested()
                .into_iter()
                .map_while(Result::ok)
                .position(|item| {
                    end += ATTRIBUTE_HEADER + item.bytes().len().next_multiple_of(4);
                    inside < end
                });
        }
        position += ATTRIBUTE_HEADER + attribute.bytes().len().next_multiple_of(4);
    }
    None
}
