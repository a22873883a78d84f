//! The codec against captured bytes: ipvsadm's requests, and a Linux 6.1's answers.
#![cfg(target_endian = "little")]

mod answers;
mod requests;

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU32};

use crate::{
    Destination, DestinationKey, DestinationSettings, Family, Forwarding, Persistence, Protocol,
    Scheduler, Service, ServiceFlags, ServiceKey, ServiceSettings, Tunnel, TunnelChecksum,
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
        key: DestinationKey::from(address.parse::<SocketAddr>().expect("an address")),
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

const GUE: Tunnel = Tunnel::Gue {
    port: 6080,
    checksum: TunnelChecksum::Remote,
};

/// A destination with thresholds.
fn limited() -> Destination {
    let mut limited = to("10.244.0.2:53", Forwarding::Route, 1);
    limited.settings.upper_threshold = 100;
    limited.settings.lower_threshold = 50;
    limited
}
