//! What a Linux 6.1 answered is read as what it had been told.

use super::*;
use crate::{
    Info, Refusal, Timeouts, Version,
    codec::{Answer, Body, Malformed, Messages, decode_family},
};

fn answers(title: &str) -> Vec<Vec<u8>> {
    sections(include_str!("../../../../captured/answers.txt"))
        .remove(title)
        .unwrap_or_else(|| panic!("no section {title:?}"))
}

/// The answers in captured datagrams.
fn decoded(title: &str) -> Vec<Answer> {
    let mut found = Vec::new();
    for datagram in answers(title) {
        for message in Messages::of(&datagram) {
            if let Body::Data(payload) = message.expect("a message").body {
                found.push(Answer::decode(payload).expect("an answer"));
            }
        }
    }
    found
}

#[test]
fn the_kernels_number_for_the_family_is_found() {
    let datagram = &answers("family")[0];
    let message = Messages::of(datagram).next().unwrap().unwrap();
    let Body::Data(payload) = message.body else {
        panic!("{message:?}")
    };
    assert_eq!(decode_family(payload), Ok(0x20));
}

#[test]
fn the_kernels_version_size_and_timeouts_are_read() {
    let version = Version {
        major: 1,
        minor: 2,
        patch: 1,
    };
    let info = Info {
        version,
        connection_table_size: 4096,
    };
    assert_eq!(decoded("info"), [Answer::Info(info)]);
    let timeouts = Timeouts {
        tcp: 1000,
        tcp_fin: 100,
        udp: 200,
    };
    assert_eq!(decoded("timeouts"), [Answer::Timeouts(timeouts)]);
}

#[test]
fn the_kernels_services_are_read_with_their_statistics() {
    let mut services = Vec::new();
    for answer in decoded("services") {
        let Answer::Service(entry) = answer else {
            panic!("{answer:?}")
        };
        services.push(entry);
    }
    services.sort_by_key(|entry| entry.service.key);
    let new = ServiceSettings::new;
    let expected = [
        service(dns(), new(Scheduler::RR)),
        service(at(Protocol::TCP, "[fd00::10]:443"), sourced()),
        service(at(Protocol::UDP, "10.96.0.10:53"), masked()),
        service(
            at(Protocol::UDP, "10.96.0.10:514"),
            flagged(Scheduler::RR, ServiceFlags::ONE_PACKET),
        ),
        service(at(Protocol::SCTP, "10.96.0.10:36412"), new(Scheduler::RR)),
        service(
            mark(Family::V4),
            persistent(Scheduler::WLC, Persistence::per_address(Family::V4, 600)),
        ),
        service(mark(Family::V6), new(Scheduler::RR)),
    ];
    let found: Vec<_> = services.iter().map(|entry| entry.service).collect();
    assert_eq!(found, expected);
    let used = services[2].statistics;
    assert_eq!(
        (used.connections, used.packets_in, used.packets_out),
        (1, 3, 3)
    );
    assert_eq!((used.bytes_in, used.bytes_out), (384, 684));
    assert_eq!(services[0].statistics, crate::Statistics::default());
}

#[test]
fn the_kernels_destinations_are_read_with_their_connections() {
    let destinations = |title| {
        let entry = |answer| match answer {
            Answer::Destination(entry) => entry,
            other => panic!("{other:?}"),
        };
        decoded(title).into_iter().map(entry).collect::<Vec<_>>()
    };
    let found: Vec<_> = destinations("destinations of TCP 10.96.0.10:53")
        .iter()
        .map(|entry| entry.destination)
        .collect();
    let expected = [
        to("[fd00::7]:53", Forwarding::Tunnel(Tunnel::Ipip), 1),
        to("10.244.0.4:53", Forwarding::Tunnel(GUE), 1),
        to("10.244.0.3:53", Forwarding::Tunnel(Tunnel::Ipip), 1),
        limited(),
        to("127.0.0.1:5353", Forwarding::Masquerade, 1),
    ];
    assert_eq!(found, expected, "the last that was added first");

    let used = destinations("destinations of UDP 10.96.0.10:53")[0];
    assert_eq!((used.active_connections, used.inactive_connections), (0, 1));
    assert_eq!(used.persistent_connections, 1);
    assert_eq!(
        (used.statistics.packets_in, used.statistics.bytes_out),
        (3, 684)
    );
    assert!(destinations("destinations of FWM 257 IPv6").is_empty());
}

#[test]
fn the_kernels_refusals_are_read_with_its_words() {
    let refusal = |title| {
        let datagram = &answers(title)[0];
        let message = Messages::of(datagram).next().unwrap().unwrap();
        match message.body {
            Body::Acknowledged(Err(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    let silent = Refusal::of;
    assert_eq!(refusal("a destination of no service"), silent(libc::ESRCH));
    assert_eq!(refusal("a service that is there"), silent(libc::EEXIST));
    assert_eq!(
        refusal("a scheduler that is not there"),
        silent(libc::ENOENT)
    );
    for title in [
        "an attribute of a wrong length",
        "an attribute of a wrong length, request echoed",
    ] {
        let refusal = refusal(title);
        let words = "Attribute failed policy validation";
        assert_eq!(
            refusal.message.as_deref(),
            Some(words),
            "{title}: {refusal}"
        );
    }
}

#[test]
fn a_datagram_that_was_cut_short_is_an_error_and_no_less_data() {
    let captured = sections(include_str!("../../../../captured/answers.txt"));
    for datagram in captured.values().flatten() {
        let whole: Vec<_> = Messages::of(datagram).collect();
        let ends: Vec<usize> = whole
            .iter()
            .scan(0, |end, _| {
                let length = u32::from_ne_bytes(datagram[*end..*end + 4].try_into().unwrap());
                *end += usize::try_from(length).unwrap();
                Some(*end)
            })
            .collect();
        for cut in 1..datagram.len() {
            let read: Vec<_> = Messages::of(&datagram[..cut]).collect();
            let complete = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(read[..complete], whole[..complete]);
            if !ends.contains(&cut) {
                assert!(matches!(read[complete..], [Err(Malformed::Cut { .. })]));
            }
        }
    }
}
