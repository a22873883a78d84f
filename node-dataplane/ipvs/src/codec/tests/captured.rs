//! The codec against captured bytes: ipvsadm's requests, and a Linux 6.1's answers.
#![cfg(target_endian = "little")]

use std::{collections::BTreeMap, num::NonZeroU32};

use super::{super::uapi, *};
use crate::{
    Change, Destination, DestinationKey, DestinationSettings, Family, Forwarding, Info,
    Persistence, PersistenceEngine, Protocol, Refusal, Scheduler, Service, ServiceFlags,
    ServiceKey, ServiceSettings, Timeouts, Tunnel, TunnelChecksum, Version,
    codec::{Answer, Body, Header, Messages, decode_family},
};

/// The sections of a file of captured bytes: a title, and lines of hexadecimal digits.
fn sections(text: &'static str) -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    text.split("\n\n")
        .skip(1)
        .map(|section| {
            let (title, lines) = section.split_once('\n').expect("a title and bytes");
            (title, lines.lines().map(bytes).collect())
        })
        .collect()
}

fn bytes(line: &str) -> Vec<u8> {
    let digits: Vec<u8> = line
        .chars()
        .map(|c| u8::try_from(c.to_digit(16).expect("a hexadecimal digit")).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn answers(title: &str) -> Vec<Vec<u8>> {
    sections(include_str!("../../../captured/answers.txt"))
        .remove(title)
        .unwrap_or_else(|| panic!("no section {title:?}"))
}

fn at(protocol: Protocol, address: &str) -> ServiceKey {
    ServiceKey::address(protocol, address.parse().expect("an address"))
}

fn mark(family: Family) -> ServiceKey {
    ServiceKey::Mark {
        family,
        mark: NonZeroU32::new(257).unwrap(),
    }
}

fn service(key: ServiceKey, settings: ServiceSettings) -> Service {
    Service { key, settings }
}

fn persistent(scheduler: Scheduler, persistence: Persistence) -> ServiceSettings {
    ServiceSettings {
        persistence: Some(persistence),
        ..ServiceSettings::new(scheduler)
    }
}

fn flagged(scheduler: Scheduler, flags: ServiceFlags) -> ServiceSettings {
    ServiceSettings {
        flags,
        ..ServiceSettings::new(scheduler)
    }
}

fn to(address: &str, forwarding: Forwarding, weight: u32) -> Destination {
    Destination {
        key: DestinationKey::from(address.parse::<std::net::SocketAddr>().expect("an address")),
        settings: DestinationSettings::new(forwarding, weight),
    }
}

fn dns() -> ServiceKey {
    at(Protocol::TCP, "10.96.0.10:53")
}

fn sourced() -> ServiceSettings {
    ServiceSettings {
        scheduler: Scheduler::SH,
        flags: ServiceFlags::SH_FALLBACK | ServiceFlags::SH_PORT,
        persistence: Some(Persistence {
            prefix: 64,
            ..Persistence::per_address(Family::V6, 300)
        }),
    }
}

fn masked() -> ServiceSettings {
    let persistence = Persistence {
        prefix: 24,
        ..Persistence::per_address(Family::V4, 10800)
    };
    persistent(Scheduler::WRR, persistence)
}

/// What ipvsadm is told to do with services, and the change that says the same.
fn service_changes() -> Vec<(&'static str, Change)> {
    let add = |key, settings| Change::AddService(service(key, settings));
    let new = ServiceSettings::new;
    let sip = Persistence {
        engine: Some(PersistenceEngine::SIP),
        ..Persistence::per_address(Family::V4, 600)
    };
    vec![
        (
            "ipvsadm -A -t 10.96.0.10:53 -s rr",
            add(dns(), new(Scheduler::RR)),
        ),
        (
            "ipvsadm -A -u 10.96.0.10:53 -s wrr -p 10800 -M 255.255.255.0",
            add(at(Protocol::UDP, "10.96.0.10:53"), masked()),
        ),
        (
            "ipvsadm -A -t [fd00::10]:443 -s sh -b sh-fallback,sh-port -p 300 -M 64",
            add(at(Protocol::TCP, "[fd00::10]:443"), sourced()),
        ),
        (
            "ipvsadm -A -t 10.96.0.11:80 -s mh -b mh-port",
            add(
                at(Protocol::TCP, "10.96.0.11:80"),
                flagged(Scheduler::MH, ServiceFlags::MH_PORT),
            ),
        ),
        (
            "ipvsadm -A -f 257 -s wlc -p 600",
            add(
                mark(Family::V4),
                persistent(Scheduler::WLC, Persistence::per_address(Family::V4, 600)),
            ),
        ),
        (
            "ipvsadm -A -f 257 -6 -s rr",
            add(mark(Family::V6), new(Scheduler::RR)),
        ),
        (
            "ipvsadm -A --sctp-service 10.96.0.10:36412 -s rr",
            add(at(Protocol::SCTP, "10.96.0.10:36412"), new(Scheduler::RR)),
        ),
        (
            "ipvsadm -A -u 10.96.0.10:5060 --pe sip -p 600 -s rr",
            add(
                at(Protocol::UDP, "10.96.0.10:5060"),
                persistent(Scheduler::RR, sip),
            ),
        ),
        (
            "ipvsadm -A -u 10.96.0.10:514 -s rr -o",
            add(
                at(Protocol::UDP, "10.96.0.10:514"),
                flagged(Scheduler::RR, ServiceFlags::ONE_PACKET),
            ),
        ),
        (
            "ipvsadm -E -t 10.96.0.11:80 -s wlc",
            Change::EditService(service(
                at(Protocol::TCP, "10.96.0.11:80"),
                new(Scheduler::WLC),
            )),
        ),
        (
            "ipvsadm --set 1000 100 200",
            Change::SetTimeouts(Timeouts {
                tcp: 1000,
                tcp_fin: 100,
                udp: 200,
            }),
        ),
        (
            "ipvsadm -D -t 10.96.0.11:80",
            Change::DeleteService(at(Protocol::TCP, "10.96.0.11:80")),
        ),
        ("ipvsadm -Z -t 10.96.0.10:53", Change::Zero(dns())),
        ("ipvsadm -Z", Change::ZeroAll),
    ]
}

/// What ipvsadm is told to do with destinations, and the change that says the same.
fn destination_changes() -> Vec<(&'static str, Change)> {
    let add = |address, forwarding, weight| {
        Change::AddDestination(dns(), to(address, forwarding, weight))
    };
    let edit = |weight| {
        Change::EditDestination(dns(), to("127.0.0.1:5353", Forwarding::Masquerade, weight))
    };
    let mut limited = to("10.244.0.2:53", Forwarding::Route, 1);
    limited.settings.upper_threshold = 100;
    limited.settings.lower_threshold = 50;
    let gue = Tunnel::Gue {
        port: 6080,
        checksum: TunnelChecksum::Remote,
    };
    let gre = Tunnel::Gre {
        checksum: TunnelChecksum::Full,
    };
    vec![
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 127.0.0.1:5353 -m -w 3",
            add("127.0.0.1:5353", Forwarding::Masquerade, 3),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.2:53 -g -x 100 -y 50",
            Change::AddDestination(dns(), limited),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.3:53 -i",
            add("10.244.0.3:53", Forwarding::Tunnel(Tunnel::Ipip), 1),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.4:53 -i --tun-type gue --tun-port 6080 --tun-remcsum",
            add("10.244.0.4:53", Forwarding::Tunnel(gue), 1),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r 10.244.0.5:53 -i --tun-type gre --tun-csum",
            add("10.244.0.5:53", Forwarding::Tunnel(gre), 1),
        ),
        (
            "ipvsadm -a -t 10.96.0.10:53 -r [fd00::7]:53 -i",
            add("[fd00::7]:53", Forwarding::Tunnel(Tunnel::Ipip), 1),
        ),
        (
            "ipvsadm -a -t [fd00::10]:443 -r [fd00::7]:8443 -m",
            Change::AddDestination(
                at(Protocol::TCP, "[fd00::10]:443"),
                to("[fd00::7]:8443", Forwarding::Masquerade, 1),
            ),
        ),
        (
            "ipvsadm -a -f 257 -r 10.244.0.6:8080 -m",
            Change::AddDestination(
                mark(Family::V4),
                to("10.244.0.6:8080", Forwarding::Masquerade, 1),
            ),
        ),
        (
            "ipvsadm -a -u 10.96.0.10:53 -r 127.0.0.1:5353 -m",
            Change::AddDestination(
                at(Protocol::UDP, "10.96.0.10:53"),
                to("127.0.0.1:5353", Forwarding::Masquerade, 1),
            ),
        ),
        (
            "ipvsadm -e -t 10.96.0.10:53 -r 127.0.0.1:5353 -m -w 0",
            edit(0),
        ),
        (
            "ipvsadm -e -t 10.96.0.10:53 -r 127.0.0.1:5353 -m -w 1",
            edit(1),
        ),
        (
            "ipvsadm -d -t 10.96.0.10:53 -r 10.244.0.5:53",
            Change::DeleteDestination(dns(), to("10.244.0.5:53", Forwarding::Route, 1).key),
        ),
    ]
}

/// The command and the attributes of a request.
fn dissect(request: &[u8]) -> (u8, BTreeMap<Vec<u16>, Vec<u8>>) {
    let command = request[16];
    let nested: &[u16] = if command == uapi::IPVS_CMD_SET_CONFIG {
        &[]
    } else {
        &[uapi::IPVS_CMD_ATTR_SERVICE, uapi::IPVS_CMD_ATTR_DEST]
    };
    (
        command,
        flatten(&request[20..], nested).expect("a request is well formed"),
    )
}

/// Whether the kernel looks at an attribute in answer to a command (`ip_vs_genl_set_cmd`). ipvsadm sends some in vain.
fn is_read(command: u8, path: &[u16], value: &[u8]) -> bool {
    match *path {
        [uapi::IPVS_CMD_ATTR_SERVICE, kind] => {
            kind <= uapi::IPVS_SVC_ATTR_FWMARK
                || matches!(
                    command,
                    uapi::IPVS_CMD_NEW_SERVICE | uapi::IPVS_CMD_SET_SERVICE
                )
        }
        [
            uapi::IPVS_CMD_ATTR_DEST,
            uapi::IPVS_DEST_ATTR_ADDR
            | uapi::IPVS_DEST_ATTR_PORT
            | uapi::IPVS_DEST_ATTR_ADDR_FAMILY,
        ] => true,
        // Zero is what the kernel takes it for where it is not there.
        [uapi::IPVS_CMD_ATTR_DEST, kind] if kind >= uapi::IPVS_DEST_ATTR_TUN_TYPE => {
            command != uapi::IPVS_CMD_DEL_DEST && value.iter().any(|byte| *byte != 0)
        }
        [uapi::IPVS_CMD_ATTR_DEST, _] => command != uapi::IPVS_CMD_DEL_DEST,
        _ => true,
    }
}

#[test]
fn a_change_says_the_same_as_ipvsadm() {
    let captured = sections(include_str!("../../../captured/requests.txt"));
    let mut told: Vec<_> = service_changes();
    told.extend(destination_changes());
    assert_eq!(
        told.iter()
            .map(|(command, _)| *command)
            .collect::<std::collections::BTreeSet<_>>(),
        captured.keys().copied().collect(),
        "each captured command has its change"
    );
    for (title, change) in told {
        let theirs = &captured[title][0];
        let mut ours = Vec::new();
        let header = Header {
            family: 0x20,
            sequence: 1,
            acknowledge: true,
        };
        change.encode(header, &mut ours);
        assert_eq!(ours[4..8], theirs[4..8], "family and flags of {title}");
        let (command, mut ours) = dissect(&ours);
        let (their_command, mut theirs) = dissect(theirs);
        assert_eq!(command, their_command, "command of {title}");
        ours.retain(|path, value| is_read(command, path, value));
        theirs.retain(|path, value| is_read(command, path, value));
        assert_eq!(ours, theirs, "attributes of {title}");
    }
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
    let mut limited = to("10.244.0.2:53", Forwarding::Route, 1);
    limited.settings.upper_threshold = 100;
    limited.settings.lower_threshold = 50;
    let gue = Tunnel::Gue {
        port: 6080,
        checksum: TunnelChecksum::Remote,
    };
    let found: Vec<_> = destinations("destinations of TCP 10.96.0.10:53")
        .iter()
        .map(|entry| entry.destination)
        .collect();
    let expected = [
        to("[fd00::7]:53", Forwarding::Tunnel(Tunnel::Ipip), 1),
        to("10.244.0.4:53", Forwarding::Tunnel(gue), 1),
        to("10.244.0.3:53", Forwarding::Tunnel(Tunnel::Ipip), 1),
        limited,
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
    let silent = |errno| Refusal {
        errno,
        message: None,
    };
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
    let captured = sections(include_str!("../../../captured/answers.txt"));
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
