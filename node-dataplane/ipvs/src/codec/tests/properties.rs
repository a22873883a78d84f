//! What holds of the codec for any values and any bytes.

use std::{net::IpAddr, num::NonZeroU32};

use proptest::{collection::vec, option, prelude::*};

use crate::{
    Change, Destination, DestinationKey, DestinationSettings, Family, Forwarding, Persistence,
    PersistenceEngine, Protocol, Query, Scheduler, Service, ServiceFlags, ServiceKey,
    ServiceSettings, Timeouts, Tunnel, TunnelChecksum,
    codec::{Answer, Body, Header, MAX_REQUEST, Messages, decode_family},
};

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn service_key() -> impl Strategy<Value = ServiceKey> {
    let address =
        (any::<u8>(), any::<IpAddr>(), any::<u16>()).prop_map(|(number, address, port)| {
            let protocol = Protocol::from_number(number);
            ServiceKey::Address {
                protocol,
                address,
                port,
            }
        });
    let mark = (family(), 1..=u32::MAX).prop_map(|(family, mark)| ServiceKey::Mark {
        family,
        mark: NonZeroU32::new(mark).expect("from 1 on"),
    });
    prop_oneof![address, mark]
}

const NAME: &str = "[a-zA-Z0-9_-]{1,15}";

fn persistence(family: Family) -> impl Strategy<Value = Persistence> {
    (any::<u32>(), 0..=family.bits(), option::of(NAME)).prop_map(|(timeout, prefix, engine)| {
        let engine = engine.map(|name| PersistenceEngine::new(&name).expect("a name"));
        Persistence {
            timeout,
            prefix,
            engine,
        }
    })
}

fn service() -> impl Strategy<Value = Service> {
    service_key().prop_flat_map(|key| {
        let flags = any::<u32>().prop_map(ServiceFlags::from_bits_truncate);
        (NAME, flags, option::of(persistence(key.family()))).prop_map(
            move |(name, flags, persistence)| {
                let scheduler = Scheduler::new(&name).expect("a name");
                Service {
                    key,
                    settings: ServiceSettings {
                        scheduler,
                        flags,
                        persistence,
                    },
                }
            },
        )
    })
}

fn forwarding() -> impl Strategy<Value = Forwarding> {
    let checksum = || {
        prop_oneof![
            Just(TunnelChecksum::None),
            Just(TunnelChecksum::Full),
            Just(TunnelChecksum::Remote)
        ]
    };
    prop_oneof![
        Just(Forwarding::Masquerade),
        Just(Forwarding::Local),
        Just(Forwarding::Route),
        Just(Forwarding::Bypass),
        Just(Forwarding::Tunnel(Tunnel::Ipip)),
        (any::<u16>(), checksum())
            .prop_map(|(port, checksum)| Forwarding::Tunnel(Tunnel::Gue { port, checksum })),
        checksum().prop_map(|checksum| Forwarding::Tunnel(Tunnel::Gre { checksum })),
    ]
}

fn destination() -> impl Strategy<Value = Destination> {
    let key = (any::<IpAddr>(), any::<u16>())
        .prop_map(|(address, port)| DestinationKey { address, port });
    let settings = (forwarding(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |(forwarding, weight, upper_threshold, lower_threshold)| DestinationSettings {
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
        },
    );
    (key, settings).prop_map(|(key, settings)| Destination { key, settings })
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    any::<[u32; 3]>().prop_map(|[tcp, tcp_fin, udp]| Timeouts { tcp, tcp_fin, udp })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        service().prop_map(Change::AddService),
        service().prop_map(Change::EditService),
        service_key().prop_map(Change::DeleteService),
        (service_key(), destination()).prop_map(|(s, d)| Change::AddDestination(s, d)),
        (service_key(), destination()).prop_map(|(s, d)| Change::EditDestination(s, d)),
        (service_key(), destination()).prop_map(|(s, d)| Change::DeleteDestination(s, d.key)),
        timeouts().prop_map(Change::SetTimeouts),
        service_key().prop_map(Change::Zero),
        Just(Change::ZeroAll),
        Just(Change::Flush),
    ]
}

fn encoded(change: &Change) -> Vec<u8> {
    let mut out = Vec::new();
    let header = Header {
        family: 0x1c,
        sequence: 5,
        acknowledge: true,
    };
    change.encode(header, &mut out);
    out
}

/// What the message says when it is read as an answer: the kernel answers in the form in which it is asked.
fn echoed(message: &[u8]) -> Answer {
    let mut messages = Messages::of(message);
    let Some(Ok(message)) = messages.next() else {
        panic!("no message")
    };
    let Body::Data(payload) = message.body else {
        panic!("{message:?}")
    };
    Answer::decode(payload).expect("an answer")
}

/// Reads bytes as all that they may be.
fn read_as_anything(bytes: &[u8]) {
    for message in Messages::of(bytes).flatten() {
        if let Body::Data(payload) = message.body {
            drop(Answer::decode(payload));
            drop(decode_family(payload));
        }
    }
    drop(Answer::decode(bytes));
}

proptest! {
    #[test]
    fn a_service_is_read_as_it_was_written(service in service()) {
        match echoed(&encoded(&Change::AddService(service))) {
            Answer::Service(entry) => prop_assert_eq!(entry.service, service),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_destination_is_read_as_it_was_written(key in service_key(), destination in destination()) {
        match echoed(&encoded(&Change::AddDestination(key, destination))) {
            Answer::Destination(entry) => prop_assert_eq!(entry.destination, destination),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn timeouts_are_read_as_they_were_written(timeouts in timeouts()) {
        let answer = echoed(&encoded(&Change::SetTimeouts(timeouts)));
        prop_assert_eq!(answer, Answer::Timeouts(timeouts));
    }

    #[test]
    fn changes_follow_each_other_in_a_buffer_and_each_is_short(changes in vec(change(), 0..20)) {
        let mut buffer = Vec::new();
        for (sequence, change) in (0..).zip(&changes) {
            let before = buffer.len();
            change.encode(Header { family: 0x1c, sequence, acknowledge: false }, &mut buffer);
            prop_assert!(buffer.len() - before <= MAX_REQUEST);
            prop_assert_eq!(buffer.len() % 4, 0);
        }
        let sequences: Vec<_> = Messages::of(&buffer).map(|m| m.map(|m| m.sequence)).collect();
        let expected: Vec<_> = (0..).take(changes.len()).map(Ok).collect();
        prop_assert_eq!(sequences, expected);
    }

    #[test]
    fn a_key_is_written_alike_to_ask_and_to_delete(key in service_key()) {
        let delete = encoded(&Change::DeleteService(key));
        let mut ask = Vec::new();
        Query::Service(key).encode(Header { family: 0x1c, sequence: 5, acknowledge: true }, &mut ask);
        // All but the command, which follows the header.
        prop_assert_eq!(&delete[..16], &ask[..16]);
        prop_assert_eq!(&delete[17..], &ask[17..]);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        read_as_anything(&bytes);
    }

    #[test]
    fn any_damage_is_read_without_a_panic(
        change in change(),
        damage in vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(&change);
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        read_as_anything(&bytes);
    }
}
