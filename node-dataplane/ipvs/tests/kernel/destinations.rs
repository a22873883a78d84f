//! Destinations: each kind is added, read, edited and deleted, and counts what goes there.

use std::{net::UdpSocket, time::Duration};

use meshlite_ipvs::{
    Change, Destination, DestinationSettings, Error, Forwarding, Ipvs, Protocol, Service,
    ServiceKey, Statistics, Tunnel, TunnelChecksum,
};

use crate::{at, eventually, fresh, ip, to, web};

fn forwardings() -> Vec<Forwarding> {
    let mut all = vec![Forwarding::Masquerade, Forwarding::Route, Forwarding::Local];
    all.extend(tunnels().map(Forwarding::Tunnel));
    all
}

fn tunnels() -> impl Iterator<Item = Tunnel> {
    let checksums = [
        TunnelChecksum::None,
        TunnelChecksum::Full,
        TunnelChecksum::Remote,
    ];
    let wrapped = checksums.into_iter().flat_map(|checksum| {
        [
            Tunnel::Gue {
                port: 6080,
                checksum,
            },
            Tunnel::Gre { checksum },
        ]
    });
    [Tunnel::Ipip].into_iter().chain(wrapped)
}

fn read(ipvs: &mut Ipvs, service: ServiceKey) -> Vec<Destination> {
    let entries = ipvs.destinations(service).unwrap();
    entries.into_iter().map(|entry| entry.destination).collect()
}

/// Service and destination of each pair of families that the kernel takes.
fn pairs() -> [(ServiceKey, Destination); 2] {
    [
        (at(Protocol::TCP, "10.96.0.1:80"), to("10.244.0.1:8080")),
        (at(Protocol::TCP, "[fd00::1]:80"), to("[fd00:244::1]:8080")),
    ]
}

#[test]
fn each_kind_of_destination_is_read_as_it_was_added_and_edited() {
    let Some(mut ipvs) = fresh() else { return };
    for (key, destination) in pairs() {
        ipvs.change(Change::AddService(Service { key, ..web() }))
            .unwrap();
        for forwarding in forwardings() {
            let settings = DestinationSettings {
                forwarding,
                weight: 0x7fff_ffff,
                upper_threshold: 1000,
                lower_threshold: 10,
            };
            let added = Destination {
                settings,
                ..destination
            };
            ipvs.change(Change::AddDestination(key, added))
                .unwrap_or_else(|error| panic!("{added:?}: {error}"));
            assert_eq!(read(&mut ipvs, key), [added], "as added");

            let settings = DestinationSettings::new(forwarding, 0);
            let edited = Destination {
                settings,
                ..destination
            };
            ipvs.change(Change::EditDestination(key, edited)).unwrap();
            assert_eq!(read(&mut ipvs, key), [edited], "as edited");
            ipvs.change(Change::DeleteDestination(key, destination.key))
                .unwrap();
            assert_eq!(read(&mut ipvs, key), []);
        }
    }
}

#[test]
fn a_tunnel_may_lead_to_the_other_family_and_nothing_else_may() {
    let Some(mut ipvs) = fresh() else { return };
    let [(v4, to_v4), (v6, to_v6)] = pairs();
    for (key, destination) in [(v4, to_v6), (v6, to_v4)] {
        ipvs.change(Change::AddService(Service { key, ..web() }))
            .unwrap();
        let settings = DestinationSettings::new(Forwarding::Tunnel(Tunnel::Ipip), 1);
        let tunnel = Destination {
            settings,
            ..destination
        };
        ipvs.change(Change::AddDestination(key, tunnel)).unwrap();
        assert_eq!(read(&mut ipvs, key), [tunnel]);
        ipvs.change(Change::DeleteDestination(key, tunnel.key))
            .unwrap();

        let refused = ipvs.change(Change::AddDestination(key, destination));
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
}

#[test]
fn a_destination_is_refused_for_what_is_wrong_with_it() {
    let Some(mut ipvs) = fresh() else { return };
    let (key, good) = (web().key, to("10.244.0.1:8080"));
    let with = |settings| Destination { settings, ..good };
    let add = |destination| Change::AddDestination(key, destination);
    let orphan = ipvs.change(add(good));
    assert!(matches!(orphan, Err(Error::NotThere(_))), "{orphan:?}");
    assert_eq!(
        read(&mut ipvs, key),
        [],
        "the kernel does not tell no service from no destination"
    );

    ipvs.change(Change::AddService(web())).unwrap();
    let edited = ipvs.change(Change::EditDestination(key, good));
    assert!(matches!(edited, Err(Error::NotThere(_))), "{edited:?}");
    let deleted = ipvs.change(Change::DeleteDestination(key, good.key));
    assert!(matches!(deleted, Err(Error::NotThere(_))), "{deleted:?}");

    let heavy = with(DestinationSettings {
        weight: 0x8000_0000,
        ..good.settings
    });
    let crossed = with(DestinationSettings {
        upper_threshold: 1,
        lower_threshold: 2,
        ..good.settings
    });
    let gue = Tunnel::Gue {
        port: 0,
        checksum: TunnelChecksum::None,
    };
    let portless = with(DestinationSettings::new(Forwarding::Tunnel(gue), 1));
    let multicast = to("224.0.0.1:80");
    for wrong in [heavy, crossed, portless, multicast] {
        let added = ipvs.change(add(wrong));
        assert!(
            matches!(added, Err(Error::Invalid(_))),
            "{wrong:?}: {added:?}"
        );
    }

    ipvs.change(add(good)).unwrap();
    let again = ipvs.change(add(good));
    assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");
    assert_eq!(read(&mut ipvs, key), [good]);
}

#[test]
fn what_goes_through_is_counted_until_it_is_zeroed() {
    let Some(mut ipvs) = fresh() else { return };
    ip("address add 10.96.0.10/32 dev lo");
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let key = at(Protocol::UDP, "10.96.0.10:53");
    let destination = to(&server.local_addr().unwrap().to_string());
    let changes = [
        Change::AddService(Service { key, ..web() }),
        Change::AddDestination(key, destination),
    ];
    assert!(ipvs.apply(changes).unwrap().is_empty());

    let client = UdpSocket::bind("10.96.0.10:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    client.connect("10.96.0.10:53").unwrap();
    let mut buffer = [0; 100];
    for _ in 0..5 {
        client.send(&[1; 72]).unwrap();
        let (_, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&[2; 22], from).unwrap();
        client.recv(&mut buffer).unwrap();
    }
    // 28 bytes of headers each.
    eventually_counted(&mut ipvs, key, [1, 5, 5, 500, 250]);
    let entry = ipvs.destinations(key).unwrap()[0];
    assert_eq!(
        (entry.active_connections, entry.inactive_connections),
        (0, 1)
    );

    ipvs.change(Change::Zero(key)).unwrap();
    eventually_counted(&mut ipvs, key, [0; 5]);
}

/// The kernel adds its processors' counters up every two seconds.
fn eventually_counted(ipvs: &mut Ipvs, key: ServiceKey, expected: [u64; 5]) {
    let counted = |statistics: Statistics| {
        let Statistics {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
            rates: _,
        } = statistics;
        [connections, packets_in, packets_out, bytes_in, bytes_out]
    };
    eventually(&[expected; 2], || {
        let service = ipvs.service(key).unwrap().statistics;
        let destination = ipvs.destinations(key).unwrap()[0].statistics;
        [service, destination].map(counted)
    });
}
