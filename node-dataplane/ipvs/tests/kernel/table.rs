//! The table as a whole: thousands of changes at once, failures among them, timeouts, and all away.

use std::net::{IpAddr, Ipv4Addr};

use meshlite_ipvs::{
    Change, Destination, DestinationKey, Error, Family, Ipvs, Protocol, Service, ServiceKey,
    Timeouts,
};

use crate::{eventually, fresh, to, web};

/// The `number`th service.
fn service(number: u32) -> Service {
    let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a60_0000 + number));
    let key = ServiceKey::Address {
        protocol: Protocol::TCP,
        address,
        port: 80,
    };
    Service { key, ..web() }
}

/// The `number`th destination.
fn destination(number: u32) -> Destination {
    let address = IpAddr::V4(Ipv4Addr::from_bits(0x0af4_0000 + number));
    Destination {
        key: DestinationKey {
            address,
            port: 8080,
        },
        ..to("10.244.0.1:8080")
    }
}

fn table(services: u32, destinations: u32) -> impl Iterator<Item = Change> {
    (0..services).flat_map(move |s| {
        let service = service(s);
        let destinations = (0..destinations)
            .map(move |d| Change::AddDestination(service.key, destination(s * destinations + d)));
        [Change::AddService(service)]
            .into_iter()
            .chain(destinations)
    })
}

fn destinations(ipvs: &mut Ipvs, key: ServiceKey) -> Vec<Destination> {
    let entries = ipvs.destinations(key).unwrap();
    entries.into_iter().map(|entry| entry.destination).collect()
}

/// All of a thousand services are listed, sooner or later: namespaces of other tests that go away can make some missing.
fn all_listed(ipvs: &mut Ipvs) {
    let expected: Vec<_> = (0..1000).map(service).collect();
    eventually(&expected, || {
        let listed = ipvs.services().unwrap();
        listed.into_iter().map(|entry| entry.service).collect()
    });
}

#[test]
fn a_thousand_services_of_ten_destinations_are_added_in_one_call() {
    let Some(mut ipvs) = fresh() else { return };
    let failures = ipvs.apply(table(1000, 10)).unwrap();
    assert!(failures.is_empty(), "{failures:?}");

    all_listed(&mut ipvs);
    for number in 0..1000 {
        let expected: Vec<_> = (number * 10..number * 10 + 10).map(destination).collect();
        assert_eq!(destinations(&mut ipvs, service(number).key), expected);
    }

    // Once more: each is refused, and each refusal arrives.
    let failures = ipvs.apply(table(1000, 10)).unwrap();
    assert_eq!(failures.len(), 11_000);
    for (place, failure) in failures.iter().enumerate() {
        assert_eq!(failure.index, place);
        assert!(matches!(failure.error, Error::Exists(_)), "{failure:?}");
    }

    ipvs.change(Change::Flush).unwrap();
    assert!(ipvs.services().unwrap().is_empty());
}

#[test]
fn five_hundred_destinations_of_one_service_are_listed_whole() {
    let Some(mut ipvs) = fresh() else { return };
    assert!(ipvs.apply(table(1, 500)).unwrap().is_empty());
    let expected: Vec<_> = (0..500).map(destination).collect();
    assert_eq!(destinations(&mut ipvs, service(0).key), expected);
}

#[test]
fn a_failed_change_is_named_by_its_place_and_stops_no_other() {
    let Some(mut ipvs) = fresh() else { return };
    ipvs.change(Change::AddService(service(400))).unwrap();
    let failures = ipvs
        .apply((0..1000).map(|s| Change::AddService(service(s))))
        .unwrap();
    assert!(
        matches!(&failures[..], [failure] if failure.index == 400 && matches!(failure.error, Error::Exists(_))),
        "{failures:?}"
    );
    all_listed(&mut ipvs);
}

#[test]
fn another_namespace_has_another_table() {
    let Some(mut ipvs) = fresh() else { return };
    ipvs.change(Change::AddService(web())).unwrap();
    let Some(mut other) = fresh() else { return };
    assert!(other.services().unwrap().is_empty());
    assert_eq!(
        ipvs.services().unwrap().len(),
        1,
        "a handle stays where it was made"
    );
}

#[test]
fn two_handles_of_a_namespace_see_each_others_changes() {
    let Some(mut ipvs) = fresh() else { return };
    let mut other = Ipvs::connect().unwrap();
    ipvs.change(Change::AddService(web())).unwrap();
    assert_eq!(other.service(web().key).unwrap().service, web());
}

#[test]
fn timeouts_are_set_and_zero_leaves_them() {
    let Some(mut ipvs) = fresh() else { return };
    let at_first = Timeouts {
        tcp: 900,
        tcp_fin: 120,
        udp: 300,
    };
    assert_eq!(ipvs.timeouts().unwrap(), at_first);
    let set = Timeouts {
        tcp: 1000,
        tcp_fin: 0,
        udp: 2_147_483,
    };
    ipvs.change(Change::SetTimeouts(set)).unwrap();
    let expected = Timeouts {
        tcp_fin: 120,
        ..set
    };
    assert_eq!(ipvs.timeouts().unwrap(), expected);

    let too_long = Timeouts {
        tcp: u32::MAX,
        ..Timeouts::default()
    };
    let refused = ipvs.change(Change::SetTimeouts(too_long));
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert_eq!(ipvs.timeouts().unwrap(), expected);
}

#[test]
fn the_kernel_tells_its_version_and_the_size_of_its_table() {
    let Some(mut ipvs) = fresh() else { return };
    let info = ipvs.info().unwrap();
    assert_eq!(info.version.major, 1, "{info:?}");
    assert!(info.connection_table_size.is_power_of_two(), "{info:?}");
}

#[test]
fn counters_of_an_empty_table_can_be_zeroed_and_nothing_flushed() {
    let Some(mut ipvs) = fresh() else { return };
    ipvs.change(Change::ZeroAll).unwrap();
    ipvs.change(Change::Flush).unwrap();
    let mark = ServiceKey::Mark {
        family: Family::V4,
        mark: std::num::NonZeroU32::MIN,
    };
    let zeroed = ipvs.change(Change::Zero(mark));
    assert!(matches!(zeroed, Err(Error::NotThere(_))), "{zeroed:?}");
}
