//! What is written is read again, and what is read may be anything.

use proptest::prelude::*;

use crate::{Attributes, Body, Header, Messages, Overlong, Refusal, Writer};

/// Bytes that look a little like messages.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), 0_u8..40, any::<u8>()];
    prop::collection::vec(byte, 0..200)
}

fn walk(attributes: Attributes<'_>, depth: usize) -> usize {
    let inner = |attribute: crate::Attribute<'_>| match depth {
        0 => 0,
        _ => walk(attribute.nested(), depth - 1),
    };
    attributes.into_iter().flatten().map(|a| 1 + inner(a)).sum()
}

proptest! {
    #[test]
    fn reading_ends_whatever_the_bytes(bytes in bytes()) {
        for message in Messages::of(&bytes).flatten() {
            if let Body::Data(payload) = message.body {
                prop_assert!(payload.len() <= bytes.len());
            }
        }
        prop_assert!(walk(Attributes(&bytes), 3) <= 4 * bytes.len());
    }

    #[test]
    fn what_is_written_is_read_again(
        sequence: u32,
        flat in prop::collection::vec((0_u16..0x3fff, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        number: u32,
    ) {
        let mut out = vec![7; 4];
        let header = Header { kind: 0x20, flags: 1, sequence };
        let mut w = Writer::begin(&mut out, header, &[1, 2, 3, 4]);
        w.nest(5, |w| for (kind, value) in &flat { w.put(*kind, value) });
        w.put_u32_ne(6, number);
        w.put_u32_be(7, number);
        w.put_str(8, "text");
        w.end().expect("it is short");

        let messages: Vec<_> = Messages::of(&out[4..]).collect::<Result<_, _>>().unwrap();
        let [message] = &messages[..] else { panic!("{messages:?}") };
        prop_assert_eq!(message.sequence, sequence);
        let Body::Data(payload) = message.body else { panic!("{message:?}") };
        let (own, attributes) = Attributes::behind::<4>(payload).unwrap();
        prop_assert_eq!(own, &[1, 2, 3, 4]);
        let nested = attributes.need(5, "nest").unwrap().nested();
        let read: Vec<_> = nested.into_iter().map(|a| a.map(|a| (a.kind, a.bytes().to_vec()))).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read, flat);
        prop_assert_eq!(attributes.need(6, "ne").unwrap().u32_ne("ne").unwrap(), number);
        prop_assert_eq!(attributes.need(7, "be").unwrap().u32_be("be").unwrap(), number);
        prop_assert_eq!(attributes.need(8, "text").unwrap().str("text").unwrap(), "text");
        prop_assert!(attributes.need(9, "nothing").is_err());
    }
}

#[test]
fn an_attribute_that_is_too_long_is_not_cut_in_silence() {
    let mut out = Vec::new();
    let header = Header {
        kind: 16,
        flags: 1,
        sequence: 1,
    };
    let mut w = Writer::begin(&mut out, header, &[]);
    w.put(1, &vec![0; 70_000]);
    assert_eq!(w.end(), Err(Overlong));
}

#[test]
fn a_refusal_reads_as_the_kernel_words_it() {
    let mut refusal = Refusal::of(libc::EINVAL);
    assert_eq!(refusal.to_string(), "Invalid argument (os error 22)");
    refusal.message = Some("bad attribute".into());
    assert!(refusal.to_string().ends_with(": bad attribute"));
}
