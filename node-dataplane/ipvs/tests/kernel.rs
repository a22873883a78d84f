//! The crate against a real kernel: each test in a network namespace of its own, which has an IPVS of its own.
//!
//! Takes root, and the module `ip_vs`. Where they are not there the tests say so and pass; with `IPVS_REQUIRED` set they fail.

mod kernel {
    mod destinations;
    mod services;
    mod table;
}

use std::{
    env,
    io::{self, Write},
    net::SocketAddr,
    process::Command,
};

use meshlite_ipvs::{
    Destination, DestinationKey, DestinationSettings, Error, Forwarding, Ipvs, Protocol, Scheduler,
    Service, ServiceKey, ServiceSettings,
};
use nix::sched::{CloneFlags, unshare};

/// IPVS of a new network namespace, into which it puts the thread. `None`, and a word about it, where there is none.
fn fresh() -> Option<Ipvs> {
    let connected = unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| Error::from(std::io::Error::from(errno)))
        .and_then(|()| Ipvs::connect());
    match connected {
        Ok(ipvs) => Some(ipvs),
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

/// Sets up the loopback of the namespace, with an address.
fn loopback(address: &str) {
    for arguments in ["link set lo up", &format!("address add {address} dev lo")] {
        let status = Command::new("ip")
            .args(arguments.split(' '))
            .status()
            .expect("ip runs");
        assert!(status.success(), "ip {arguments}: {status}");
    }
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
