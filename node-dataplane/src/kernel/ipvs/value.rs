//! Virtual servers in the words of IPVS, and back.

use std::net::SocketAddr;

use meshlite_ipvs::{
    Destination, DestinationSettings, Error, Forwarding, Persistence, Service, ServiceFlags,
    ServiceKey, ServiceSettings,
};
use meshlite_snapshot::Protocol;

use crate::{
    kernel::KernelError,
    table::{Frontend, Scheduler, Settings, VirtualAddress},
};

/// A persistence that nobody asks for. A virtual server with anything on it that we would not write shows it, so that it
/// differs from whatever is wanted and is edited.
pub(super) const STRANGE: Option<u32> = Some(0);

/// The protocol by its number.
const fn protocol(protocol: Protocol) -> meshlite_ipvs::Protocol {
    match protocol {
        Protocol::Tcp => meshlite_ipvs::Protocol::TCP,
        Protocol::Udp => meshlite_ipvs::Protocol::UDP,
        Protocol::Sctp => meshlite_ipvs::Protocol::SCTP,
    }
}

fn known_protocol(number: meshlite_ipvs::Protocol) -> Option<Protocol> {
    let all = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    all.into_iter().find(|known| protocol(*known) == number)
}

/// The virtual server of a place.
pub(super) fn service_key(frontend: &Frontend) -> ServiceKey {
    ServiceKey::address(protocol(frontend.protocol), frontend.socket_address())
}

/// The place of a virtual server; none for those by mark, and those of protocols that no Service has.
pub(super) fn frontend(key: ServiceKey) -> Option<Frontend> {
    match key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => Some(Frontend {
            address: VirtualAddress::Ip(address),
            port,
            protocol: known_protocol(protocol)?,
        }),
        ServiceKey::Mark { .. } => None,
    }
}

/// The scheduler by its name.
pub(super) fn scheduler(scheduler: Scheduler) -> meshlite_ipvs::Scheduler {
    use meshlite_ipvs::Scheduler as Name;
    match scheduler {
        Scheduler::Rr => Name::RR,
        Scheduler::Wrr => Name::WRR,
        Scheduler::Lc => Name::LC,
        Scheduler::Wlc => Name::WLC,
        Scheduler::Sh => Name::SH,
        Scheduler::Dh => Name::DH,
        Scheduler::Sed => Name::SED,
        Scheduler::Nq => Name::NQ,
        Scheduler::Mh => Name::MH,
        Scheduler::Fo => Name::FO,
        Scheduler::Ovf => Name::OVF,
        Scheduler::Lblc => Name::LBLC,
        Scheduler::Lblcr => Name::LBLCR,
    }
}

/// What a scheduler is told. `mh` hashes the port too, as kube-proxy has it. Without its flag, `sh` refuses the clients
/// of a real server that drains.
fn flags(scheduler: Scheduler) -> ServiceFlags {
    match scheduler {
        Scheduler::Mh => ServiceFlags::MH_PORT,
        Scheduler::Sh => ServiceFlags::SH_FALLBACK,
        _ => ServiceFlags::empty(),
    }
}

/// A virtual server that behaves like this, as far as IPVS decides.
pub(super) fn service(key: ServiceKey, wanted: &Settings) -> Service {
    service_of(key, wanted.scheduler, wanted.persistence)
}

/// How a virtual server by mark behaves whose clients stay. A persistent one sends them to the port that they asked for,
/// whatever port the real server has (`ip_vs_sched_persist` of Linux), so that they stay where their address leads them.
const STICKY: ServiceSettings = ServiceSettings {
    scheduler: meshlite_ipvs::Scheduler::MH,
    flags: ServiceFlags::MH_FALLBACK,
    persistence: None,
};

/// A virtual server with this scheduler and persistence, in seconds.
pub(super) fn service_of(key: ServiceKey, wanted: Scheduler, persistence: Option<u32>) -> Service {
    let usual = ServiceSettings {
        scheduler: scheduler(wanted),
        flags: flags(wanted),
        persistence: persistence.map(|timeout| Persistence::per_address(key.family(), timeout)),
    };
    let settings = match key {
        ServiceKey::Mark { .. } if persistence.is_some() => STICKY,
        ServiceKey::Mark { .. } | ServiceKey::Address { .. } => usual,
    };
    Service { key, settings }
}

/// Whether it is one by mark whose clients stay. How long, and what they asked for, is known by its places.
pub(super) fn is_sticky(service: &Service) -> bool {
    service.settings == STICKY
}

/// The scheduler and the persistence of a virtual server.
pub(super) fn behaviour(service: &Service) -> (Scheduler, Option<u32>) {
    let ServiceSettings {
        scheduler: name,
        flags: set,
        persistence,
    } = service.settings;
    let known = Scheduler::ALL
        .into_iter()
        .find(|known| scheduler(*known) == name);
    let Some(known) = known.filter(|known| flags(*known) == set) else {
        return (Scheduler::default(), STRANGE);
    };
    let per_address =
        |timeout| Some(Persistence::per_address(service.key.family(), timeout)) == persistence;
    let seconds = persistence.map(|persistence| persistence.timeout);
    match seconds {
        Some(timeout) if !per_address(timeout) => (known, STRANGE),
        _ => (known, seconds),
    }
}

/// A real server: packets are rewritten to it, and its answers come back through this host.
pub(super) fn destination(address: SocketAddr, weight: u16) -> Destination {
    Destination {
        key: address.into(),
        settings: DestinationSettings::new(Forwarding::Masquerade, weight.into()),
    }
}

/// What to do about a change that IPVS did not make.
pub(super) fn error(error: &Error) -> KernelError {
    let text = error.to_string();
    match error {
        Error::NotThere(_) | Error::Exists(_) | Error::Lost | Error::Interrupted(_) => {
            KernelError::Resync(text)
        }
        Error::NoSuchScheduler(_) | Error::Invalid(_) | Error::NotSupported(_) => {
            KernelError::Unsupported(text)
        }
        Error::NoPermission(_)
        | Error::Busy(_)
        | Error::Refused(_)
        | Error::Malformed(_)
        | Error::Socket(_) => KernelError::Retry(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{key, server};

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(
            scheduler in prop::sample::select(Scheduler::ALL.to_vec()),
            persistence in prop::option::of(1_u32..=86_400),
            place in prop::sample::select(vec!["TCP 10.96.0.1:80", "UDP [fd00::1]:53", "SCTP 10.96.0.1:9"]),
        ) {
            let place = key(place).frontend;
            let mut wanted = server(&[]).settings;
            wanted.scheduler = scheduler;
            wanted.persistence = persistence;
            let service = service(service_key(&place), &wanted);
            prop_assert_eq!(behaviour(&service), (scheduler, persistence));
            prop_assert_eq!(frontend(service.key), Some(place));
        }
    }

    #[test]
    fn whatever_we_would_not_write_differs_from_all_that_is_wanted() {
        let ours = service(
            service_key(&key("TCP 10.96.0.1:80").frontend),
            &server(&[]).settings,
        );
        let with = |settings: ServiceSettings| behaviour(&Service { settings, ..ours }).1;
        let is = ours.settings;
        let sip = Some(meshlite_ipvs::PersistenceEngine::SIP);
        for other in [
            ServiceSettings {
                scheduler: meshlite_ipvs::Scheduler::TWOS,
                ..is
            },
            ServiceSettings {
                scheduler: meshlite_ipvs::Scheduler::MH,
                ..is
            },
            ServiceSettings {
                flags: ServiceFlags::ONE_PACKET,
                ..is
            },
            ServiceSettings {
                persistence: Some(Persistence {
                    timeout: 5,
                    prefix: 24,
                    engine: None,
                }),
                ..is
            },
            ServiceSettings {
                persistence: Some(Persistence {
                    timeout: 5,
                    prefix: 32,
                    engine: sip,
                }),
                ..is
            },
        ] {
            assert_eq!(with(other), STRANGE, "{other:?}");
        }
    }
}
