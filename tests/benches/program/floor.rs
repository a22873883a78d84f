//! The least that it takes: other programs, and bare loops, that put the same into the kernel.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::ensure;
use meshlite_ipvs::{
    Change, Destination, DestinationKey, DestinationSettings, Forwarding, Ipvs, Protocol,
    Scheduler, Service, ServiceKey, ServiceSettings,
};
use meshlite_tests::{
    figures::median,
    world::{Host, World},
};

use crate::{
    flat::CHANGES,
    objects::{PORT, Size, TARGET, vip},
    subject::REST,
    watch::pause,
};

/// What nft 1.0.6 prints in rules and does not read within a concatenation: there are a few, however many Services.
const UNREADABLE: [&str; 2] = ["ct original proto-dst", "numgen random"];

/// How long `nft -f` takes for the table that a node has, on a node that has none.
pub(crate) fn nft(node: &Host, rounds: u16) -> anyhow::Result<Duration> {
    let table = node.output("nft", &["list", "table", "inet", "meshlite"])?;
    let is_readable = |line: &&str| !UNREADABLE.iter().any(|word| line.contains(word));
    let rules: Vec<_> = table.lines().filter(is_readable).collect();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules");
    fs::write(&file, rules.join("\n"))?;
    let file = file.display().to_string();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let world = World::new(&[0])?;
        let started = Instant::now();
        world.node(0).output("nft", &["-f", &file])?;
        times.push(started.elapsed());
    }
    Ok(median(times))
}

/// How long IPVS takes in a bare loop that sends what is ready to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Netlink {
    /// All Services.
    pub(crate) load: Duration,
    /// Another destination in place of one.
    pub(crate) change: Duration,
}

/// Measures it, so often.
pub(crate) fn netlink(size: Size, rounds: u16) -> anyhow::Result<Netlink> {
    let changes = changes(size)?;
    let (mut loads, mut edits) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let world = World::new(&[0])?;
        let mut ipvs = world.node(0).namespace().run(Ipvs::connect)?;
        let started = Instant::now();
        let failed = ipvs.apply(changes.iter().copied())?;
        loads.push(started.elapsed());
        ensure!(failed.is_empty(), "{failed:?}");
        let key = key(0);
        let mut was: SocketAddr = format!("{}:{TARGET}", size.endpoints_of(0)[0]).parse()?;
        for change in 0..CHANGES {
            pause(REST);
            let is = SocketAddr::from(([10, 250, 0, 1], 9090 + change));
            let edit = [
                Change::AddDestination(key, destination(is)),
                Change::DeleteDestination(key, DestinationKey::from(was)),
            ];
            let started = Instant::now();
            let failed = ipvs.apply(edit)?;
            edits.push(started.elapsed());
            ensure!(failed.is_empty(), "{failed:?}");
            was = is;
        }
    }
    Ok(Netlink {
        load: median(loads),
        change: median(edits),
    })
}

fn key(number: u32) -> ServiceKey {
    ServiceKey::address(Protocol::TCP, (vip(number), PORT).into())
}

fn destination(address: SocketAddr) -> Destination {
    Destination {
        key: DestinationKey::from(address),
        settings: DestinationSettings::new(Forwarding::Masquerade, 1),
    }
}

fn changes(size: Size) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for number in 0..size.services {
        let key = key(number);
        let settings = ServiceSettings::new(Scheduler::RR);
        changes.push(Change::AddService(Service { key, settings }));
        for ip in size.endpoints_of(number) {
            let address = SocketAddr::new(ip.parse()?, TARGET);
            changes.push(Change::AddDestination(key, destination(address)));
        }
    }
    Ok(changes)
}

/// How long `ipvsadm -R` takes.
pub(crate) fn ipvsadm(size: Size, rounds: u16) -> anyhow::Result<Duration> {
    let mut rules = String::new();
    for number in 0..size.services {
        let to = format!("-t {}:{PORT}", vip(number));
        writeln!(rules, "-A {to} -s rr")?;
        for ip in size.endpoints_of(number) {
            writeln!(rules, "-a {to} -r {ip}:{TARGET} -m -w 1")?;
        }
    }
    let mut times = Vec::new();
    for _ in 0..rounds {
        let world = World::new(&[0])?;
        let started = Instant::now();
        world.node(0).output_of("ipvsadm", &["-R"], &rules)?;
        times.push(started.elapsed());
    }
    Ok(median(times))
}
