//! Any bytes as a datagram of the kernel's IPVS: never a panic, and what is read is written and read to the same.
#![no_main]

use meshlite_ipvs::{
    Change, Family, ServiceKey,
    codec::{Answer, Body, Header, Messages, decode_family},
};

libfuzzer_sys::fuzz_target!(|datagram: &[u8]| {
    let answers = Messages::of(datagram).flatten().filter_map(|message| match message.body {
        Body::Data(payload) => {
            let _family = decode_family(payload).ok();
            Answer::decode(payload).ok()
        }
        _ => None,
    });
    for answer in answers.chain(Answer::decode(datagram).ok()) {
        match answer {
            Answer::Service(entry) => {
                let Answer::Service(again) = echo(Change::AddService(entry.service)) else {
                    panic!("a service is written as a service")
                };
                assert_eq!(again.service, entry.service);
            }
            Answer::Destination(entry) => {
                let service = ServiceKey::Mark {
                    family: Family::V4,
                    mark: std::num::NonZeroU32::MIN,
                };
                let change = Change::AddDestination(service, entry.destination);
                let Answer::Destination(again) = echo(change) else {
                    panic!("a destination is written as a destination")
                };
                assert_eq!(again.destination, entry.destination);
            }
            Answer::Timeouts(timeouts) => {
                assert_eq!(echo(Change::SetTimeouts(timeouts)), Answer::Timeouts(timeouts));
            }
            Answer::Info(_) => {}
        }
    }
});

/// What a change says, read as an answer: the kernel answers in the form in which it is asked.
fn echo(change: Change) -> Answer {
    let mut bytes = Vec::new();
    let header = Header { family: 0x1c, sequence: 1, acknowledge: false };
    change.encode(header, &mut bytes);
    let mut messages = Messages::of(&bytes);
    let Some(Ok(message)) = messages.next() else { panic!("one message is written") };
    let Body::Data(payload) = message.body else { panic!("of the family") };
    Answer::decode(payload).expect("what is written is read")
}
