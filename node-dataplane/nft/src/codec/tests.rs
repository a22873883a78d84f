//! What is written reads back the same, and whatever comes is read to an end.

mod values;

use meshlite_netlink::{Body, Messages};
use proptest::prelude::*;

use super::{
    Malformed, element,
    message::Payload,
    object, rule, set,
    uapi::Command,
    write::{Header, Writer},
};
use crate::{
    Element, Error, Expression, Family, Place, Rule, TableKey, Transaction, UserData, Value,
};
use values::{chain, element, rule, set_value, table};

/// Writes a message, and hands over what the kernel would send of it.
fn through<V>(
    family: Family,
    write: impl FnOnce(&mut Writer<'_>),
    read: impl FnOnce(Payload<'_>) -> Result<V, Malformed>,
) -> V {
    let mut bytes = Vec::new();
    let mut w = Header::of(Command::NewTable, 0, 7, Some(family)).begin(&mut bytes);
    write(&mut w);
    w.end().expect("short enough");
    let mut messages = Messages::of(&bytes);
    let message = messages.next().expect("a message").expect("well-formed");
    assert!(messages.next().is_none());
    assert_eq!(message.sequence, 7);
    let Body::Data(payload) = message.body else {
        panic!("{message:?} is no object")
    };
    read(Payload::of(payload).expect("headers")).expect("readable")
}

proptest! {
    #[test]
    fn tables_read_as_written(value in table()) {
        let entry = through(value.key.family, |w| object::put_table(w, &value), object::table);
        prop_assert_eq!(entry.table, value);
    }

    #[test]
    fn chains_read_as_written(value in chain()) {
        let family = value.key.table.family;
        let entry = through(family, |w| object::put_chain(w, &value), object::chain);
        prop_assert_eq!(entry.chain, value);
    }

    #[test]
    fn rules_read_as_written(value in rule()) {
        let family = value.chain.table.family;
        let write = |w: &mut Writer<'_>| {
            rule::put_chain(w, &value.chain);
            rule::put_handle(w, 42);
            rule::put_rule(w, &value);
        };
        let entry = through(family, write, rule::rule);
        prop_assert_eq!(entry.rule, value);
        prop_assert_eq!(entry.handle, 42);
    }

    #[test]
    fn sets_read_as_written(value in set_value()) {
        let family = value.key.table.family;
        let entry = through(family, |w| set::put_set(w, &value, 1), set::set);
        prop_assert_eq!(entry.set, value);
    }

    #[test]
    fn elements_read_as_written(
        values in prop::collection::vec(element(), 0..30),
    ) {
        let mut rest = values.clone().into_iter();
        let mut entries = Vec::new();
        while rest.len() > 0 {
            let write = |w: &mut Writer<'_>| assert!(element::put_elements(w, &mut rest) > 0);
            through(Family::Inet, write, |payload| element::elements(payload, &mut entries));
        }
        let read: Vec<_> = entries.into_iter().map(|entry| entry.element).collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        read_all(&bytes);
    }

    #[test]
    fn a_damaged_message_is_read_to_an_end(
        value in rule(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut transaction = Transaction::new();
        transaction.add_rule(&value);
        let mut bytes = transaction.bytes().expect("short").expect("a change").to_vec();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        read_all(&bytes);
    }
}

/// Reads bytes as everything that they could be.
fn read_all(bytes: &[u8]) {
    for message in Messages::of(bytes).map_while(Result::ok) {
        if let Body::Data(payload) = message.body
            && let Ok(payload) = Payload::of(payload)
        {
            drop((
                object::table(payload),
                object::chain(payload),
                object::generation(payload),
            ));
            drop((rule::rule(payload), set::set(payload)));
            drop(element::elements(payload, &mut Vec::new()));
        }
    }
    for offset in [0, 20, 24, bytes.len()] {
        let _: (Option<usize>, bool) = (
            element::element_at(bytes, offset),
            rule::lacks_expression(bytes, offset),
        );
    }
}

#[test]
fn elements_take_as_many_messages_as_they_need() {
    let elements = (0..20_000).map(|number| Element::new(Value::native(number)));
    let mut rest = elements.clone();
    let mut entries = Vec::new();
    let mut messages = 0;
    while rest.len() > 0 {
        let write = |w: &mut Writer<'_>| assert!(element::put_elements(w, &mut rest) > 0);
        through(Family::Inet, write, |payload| {
            element::elements(payload, &mut entries)
        });
        messages += 1;
    }
    // 16 bytes each.
    assert_eq!(messages, 5);
    let read = entries.into_iter().map(|entry| entry.element);
    assert!(read.eq(elements));
}

#[test]
fn an_object_that_no_message_can_hold_is_named() {
    let table = TableKey {
        family: Family::Inet,
        name: "t".parse().expect("a name"),
    };
    let rule = Rule {
        chain: table.chain("c".parse().expect("a name")),
        expressions: vec![Expression::COUNTER; 3_000],
        user_data: UserData::default(),
    };
    let mut transaction = Transaction::new();
    transaction.flush_chain(&rule.chain);
    transaction.add_rule(&rule);
    let failure = transaction.bytes().expect_err("too long");
    assert_eq!(failure.place, Place::Change(1));
    assert!(matches!(failure.error, Error::TooLarge));
}
