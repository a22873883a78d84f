//! The crate against a real kernel: each test in a network namespace of its own, which has an IPVS of its own.
//!
//! Takes root, and the module `ip_vs`. Where they are not there the tests say so and pass; with `IPVS_REQUIRED` set they
//! fail. The modules of the schedulers have to be loaded beforehand: see [`meshlite_ipvs::Scheduler`].

#![cfg(test)]

mod kernel {
    mod destinations;
    mod services;
    mod table;
}

use std::{
    env, fmt,
    io::{self, Write},
    net::SocketAddr,
    process::Command,
    thread,
    time::Duration,
};

use meshlite_ipvs::{
    Destination, DestinationKey, DestinationSettings, Error, Forwarding, Ipvs, Protocol, Scheduler,
    Service, ServiceKey, ServiceSettings,
};
use nix::sched::{CloneFlags, unshare};

/// IPVS of a new network namespace, into which it puts the thread. `None`, and a word about it, where there is none.
fn fresh() -> Option<Ipvs> {
    let connected = unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| Error::from(io::Error::from(errno)))
        .and_then(|()| Ipvs::connect());
    match connected {
        Ok(ipvs) => {
            // Without any address the kernel has no routes, and takes no destination.
            ip("link set lo up");
            Some(ipvs)
        }
        Err(error) => {
            assert!(
                env::var_os("IPVS_REQUIRED").is_none(),
                "IPVS was promised: {error}"
            );
            // Past the test harness, which shows nothing of a test that passes.
            writeln!(
                io::stderr(),
                "NOT RUN, there is no IPVS for this test: {error}"
            )
            .unwrap();
            None
        }
    }
}

/// Configures the network of the namespace.
fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split(' '))
        .status()
        .expect("ip runs");
    assert!(status.success(), "ip {arguments}: {status}");
}

/// Looks until it sees what it expects, for a minute.
fn eventually<T: PartialEq + fmt::Debug>(expected: &T, mut look: impl FnMut() -> T) {
    let mut seen = look();
    for _ in 0..600 {
        if seen == *expected {
            return;
        }
        pause();
        seen = look();
    }
    panic!("not {expected:?} after a minute, but {seen:?}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "between two looks at what is waited for"
)]
fn pause() {
    thread::sleep(Duration::from_millis(100));
}

fn at(protocol: Protocol, address: &str) -> ServiceKey {
    ServiceKey::address(protocol, address.parse().expect("an address"))
}

fn web() -> Service {
    Service {
        key: at(Protocol::TCP, "10.96.0.1:80"),
        settings: ServiceSettings::new(Scheduler::RR),
    }
}

fn to(address: &str) -> Destination {
    let address: SocketAddr = address.parse().expect("an address");
    Destination {
        key: DestinationKey::from(address),
        settings: DestinationSettings::new(Forwarding::Masquerade, 1),
    }
}
