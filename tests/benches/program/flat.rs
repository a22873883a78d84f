//! The least that nftables takes: the flat maps of the nft crate's example, in one transaction and nothing around it.

#[expect(dead_code, reason = "the example does more than is measured")]
#[path = "../../../node-dataplane/nft/examples/flat/rules.rs"]
mod rules;
#[path = "../../../node-dataplane/nft/examples/flat/service.rs"]
mod service;
#[path = "../../../node-dataplane/nft/examples/flat/steps.rs"]
mod steps;

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use meshlite_nft::Nftables;
use meshlite_tests::{figures::median, world::Namespace};

use crate::{
    objects::{PORT, Size, TARGET, vip},
    subject::REST,
    watch::pause,
};

/// Changes in each round.
pub(crate) const CHANGES: u16 = 5;

/// How long a bare transaction took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    /// With all Services.
    pub(crate) load: Duration,
    /// With another endpoint in place of one.
    pub(crate) change: Duration,
}

/// Measures both, so often.
pub(crate) fn measure(size: Size, rounds: u16) -> anyhow::Result<Bare> {
    let flat = rules::Flat::new("flat");
    let services: Vec<_> = (0..size.services)
        .map(|number| service(size, number))
        .collect::<Result<_, _>>()?;
    let mut loads = Vec::new();
    let mut changes = Vec::new();
    for _ in 0..rounds {
        let namespace = Namespace::new()?;
        let mut nftables = namespace.run(Nftables::connect)?;
        let transaction = flat.load(&services);
        let started = Instant::now();
        nftables.commit(&transaction)?;
        loads.push(started.elapsed());
        for change in 0..CHANGES {
            pause(REST);
            let to = (Ipv4Addr::new(12, 0, 0, 1), 9090 + change);
            let started = Instant::now();
            nftables.commit(&flat.change_endpoint(&services[0], 0, to))?;
            changes.push(started.elapsed());
        }
    }
    Ok(Bare {
        load: median(loads),
        change: median(changes),
    })
}

fn service(size: Size, number: u32) -> anyhow::Result<service::Service> {
    let endpoints = size.endpoints_of(number).into_iter();
    Ok(service::Service {
        address: vip(number),
        protocol: 6,
        port: PORT,
        endpoints: endpoints
            .map(|ip| Ok((ip.parse()?, TARGET)))
            .collect::<Result<_, std::net::AddrParseError>>()?,
        sticky: false,
        sources: None,
    })
}
