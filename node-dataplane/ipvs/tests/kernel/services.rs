//! Services: each kind is added, read, listed, edited and deleted.

use std::num::NonZeroU32;

use meshlite_ipvs::{
    Change, Error, Family, Ipvs, Persistence, Protocol, Scheduler, Service, ServiceFlags,
    ServiceKey, ServiceSettings,
};

use crate::{at, fresh, web};

/// All schedulers that a kernel has had for long.
const SCHEDULERS: [Scheduler; 14] = [
    Scheduler::RR,
    Scheduler::WRR,
    Scheduler::LC,
    Scheduler::WLC,
    Scheduler::LBLC,
    Scheduler::LBLCR,
    Scheduler::DH,
    Scheduler::SH,
    Scheduler::MH,
    Scheduler::SED,
    Scheduler::NQ,
    Scheduler::FO,
    Scheduler::OVF,
    Scheduler::NONE,
];

fn keys() -> Vec<ServiceKey> {
    let mark = |family| ServiceKey::Mark {
        family,
        mark: NonZeroU32::new(0x8000_0001).unwrap(),
    };
    let mut keys = vec![mark(Family::V4), mark(Family::V6)];
    for protocol in [Protocol::TCP, Protocol::UDP, Protocol::SCTP] {
        keys.extend([at(protocol, "10.96.0.1:443"), at(protocol, "[fd00::1]:443")]);
    }
    keys
}

fn settings(family: Family) -> Vec<ServiceSettings> {
    let mut all: Vec<_> = SCHEDULERS.map(ServiceSettings::new).into();
    let flags = [
        ServiceFlags::ONE_PACKET,
        ServiceFlags::SH_FALLBACK,
        ServiceFlags::SH_PORT,
        ServiceFlags::SCHEDULER_3,
        ServiceFlags::all(),
    ];
    all.extend(flags.map(|flags| ServiceSettings {
        flags,
        ..ServiceSettings::new(Scheduler::MH)
    }));
    let wide = Persistence {
        prefix: 20,
        ..Persistence::per_address(family, 1)
    };
    let long = Persistence::per_address(family, 4_000_000);
    all.extend([wide, long].map(|persistence| ServiceSettings {
        persistence: Some(persistence),
        flags: ServiceFlags::SH_PORT,
        ..ServiceSettings::new(Scheduler::SH)
    }));
    all
}

fn read(ipvs: &mut Ipvs, service: Service) -> Service {
    let entry = ipvs.service(service.key);
    entry
        .unwrap_or_else(|error| panic!("{service:?}: {error}"))
        .service
}

#[test]
fn each_kind_of_service_is_read_as_it_was_added_and_edited() {
    let Some(mut ipvs) = fresh() else { return };
    for key in keys() {
        let mut before = None;
        for settings in settings(key.family()) {
            let service = Service { key, settings };
            ipvs.change(Change::AddService(service))
                .unwrap_or_else(|error| panic!("{service:?}: {error}"));
            assert_eq!(read(&mut ipvs, service), service, "as added");
            ipvs.change(Change::DeleteService(key)).unwrap();

            // And by way of what it was before.
            let first = Service {
                key,
                settings: before.unwrap_or(settings),
            };
            let edits = [Change::AddService(first), Change::EditService(service)];
            let failures = ipvs.apply(edits).unwrap();
            assert!(
                failures.is_empty(),
                "{first:?} to {service:?}: {failures:?}"
            );
            assert_eq!(read(&mut ipvs, service), service, "as edited");
            ipvs.change(Change::DeleteService(key)).unwrap();
            before = Some(settings);
        }
    }
    assert_eq!(ipvs.services().unwrap(), []);
}

#[test]
fn services_of_all_kinds_stand_side_by_side() {
    let Some(mut ipvs) = fresh() else { return };
    let settings = ServiceSettings::new(Scheduler::RR);
    let mut services: Vec<_> = keys()
        .into_iter()
        .map(|key| Service { key, settings })
        .collect();
    let failures = ipvs
        .apply(services.iter().copied().map(Change::AddService))
        .unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    let listed = ipvs.services().unwrap();
    let listed: Vec<_> = listed.into_iter().map(|entry| entry.service).collect();
    services.sort();
    assert_eq!(listed, services);
}

#[test]
fn a_service_is_refused_for_what_is_wrong_with_it() {
    let Some(mut ipvs) = fresh() else { return };
    let with = |settings| Service { settings, ..web() };
    ipvs.change(Change::AddService(web())).unwrap();
    let again = ipvs.change(Change::AddService(web()));
    assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");

    let unknown = with(ServiceSettings::new("no-such".parse().unwrap()));
    let edited = ipvs.change(Change::EditService(unknown));
    assert!(
        matches!(edited, Err(Error::NoSuchScheduler(_))),
        "{edited:?}"
    );
    assert_eq!(read(&mut ipvs, web()), web(), "and it is as it was");

    let absent = at(Protocol::TCP, "10.96.0.2:80");
    let deleted = ipvs.change(Change::DeleteService(absent));
    assert!(matches!(deleted, Err(Error::NotThere(_))), "{deleted:?}");
    let edited = ipvs.change(Change::EditService(Service {
        key: absent,
        ..web()
    }));
    assert!(matches!(edited, Err(Error::NotThere(_))), "{edited:?}");
    let found = ipvs.service(absent);
    assert!(matches!(found, Err(Error::NotThere(_))), "{found:?}");

    let all_of_ipv6 = Persistence {
        prefix: 0,
        ..Persistence::per_address(Family::V6, 60)
    };
    let wrong = Service {
        key: at(Protocol::TCP, "[fd00::1]:80"),
        settings: ServiceSettings {
            persistence: Some(all_of_ipv6),
            ..web().settings
        },
    };
    let added = ipvs.change(Change::AddService(wrong));
    assert!(matches!(added, Err(Error::Invalid(_))), "{added:?}");
}
