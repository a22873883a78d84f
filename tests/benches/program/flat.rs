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

/// How long a bare transaction with all Services takes: the median of so many.
pub(crate) fn load(size: Size, rounds: u16) -> anyhow::Result<Duration> {
    let loads = (0..rounds).map(|_| Ok(Flat::load(size)?.took));
    Ok(median(loads.collect::<anyhow::Result<_>>()?))
}

/// How long a bare transaction takes with another endpoint in place of one. Each comes after what `before` does and the
/// rest that a node has before a change: the caches of the processor are then as a node finds them.
pub(crate) fn change(
    size: Size,
    mut before: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let mut flat = Flat::load(size)?;
    let mut changes = Vec::new();
    for change in 0..CHANGES {
        pause(REST);
        before()?;
        let to = (Ipv4Addr::new(12, 0, 0, 1), 9090 + change);
        let started = Instant::now();
        let transaction = flat.rules.change_endpoint(&flat.first, 0, to);
        flat.nftables.commit(&transaction)?;
        changes.push(started.elapsed());
    }
    Ok(median(changes))
}

/// The flat maps in a namespace of their own.
struct Flat {
    rules: rules::Flat,
    nftables: Nftables,
    first: service::Service,
    took: Duration,
    _namespace: Namespace,
}

impl Flat {
    fn load(size: Size) -> anyhow::Result<Self> {
        let rules = rules::Flat::new("flat");
        let mut services: Vec<_> = (0..size.services)
            .map(|number| service(size, number))
            .collect::<Result<_, _>>()?;
        let namespace = Namespace::new()?;
        let mut nftables = namespace.run(Nftables::connect)?;
        let transaction = rules.load(&services);
        let started = Instant::now();
        nftables.commit(&transaction)?;
        Ok(Self {
            took: started.elapsed(),
            rules,
            nftables,
            first: services.swap_remove(0),
            _namespace: namespace,
        })
    }
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
