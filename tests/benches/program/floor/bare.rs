//! What a node with IPVS sends to the kernel in its first pass, in bare loops: it is all ready before, and nothing is
//! derived, read, compared or remembered.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::ensure;
use meshlite_ipvs::{
    Change, Destination, DestinationKey, DestinationSettings, Forwarding, Ipvs, Protocol,
    Scheduler, Service, ServiceKey, ServiceSettings,
};
use meshlite_netlink::{Ask, Exchange, Header, KernelSocket, Writer, flags};
use meshlite_nft::{Nftables, Transaction};
use meshlite_tests::{figures::median, world::Namespace};
use tokio::runtime::Handle;

use super::{follower::Follower, watched::Watched};
use crate::{
    objects::{PORT, Size, TARGET, vip},
    scene::Scene,
    subject::REST,
    watch::pause,
};

/// Changes of which the median counts.
const CHANGES: u16 = 9;

/// How long IPVS takes in bare loops that send what is ready to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Netlink {
    /// All that a node sends in its first pass: its nft table, virtual servers and destinations, a link, and a `local`
    /// route for each address.
    pub(crate) load: Duration,
    /// Of that, virtual servers and destinations.
    pub(crate) servers: Duration,
    /// Another destination in place of one. It is sent when a node would begin to work: once a change came from the control
    /// plane. So the caches of the processor are as a node finds them; and IPVS is watched, as a node's is, which takes
    /// some of the time of both.
    pub(crate) change: Duration,
}

/// Measures it, so often; `rules` make the nft table.
pub(crate) fn netlink(
    runtime: &Handle,
    scene: &Scene,
    rules: &Transaction,
    rounds: u16,
) -> anyhow::Result<Netlink> {
    let changes = changes(scene.size)?;
    let addresses: Vec<_> = (0..scene.size.services).map(vip).collect();
    let (mut loads, mut servers) = (Vec::new(), Vec::new());
    let mut left = rounds;
    loop {
        let namespace = super::host()?;
        let mut nftables = namespace.run(Nftables::connect)?;
        let mut network = Exchange::new(namespace.run(KernelSocket::route)?);
        let mut ipvs = namespace.run(Ipvs::connect)?;
        let started = Instant::now();
        nftables.commit(rules)?;
        let helped = Instant::now();
        let failed = ipvs.apply(changes.iter().copied())?;
        servers.push(helped.elapsed());
        ensure!(failed.is_empty(), "{failed:?}");
        let failed = network.apply([()], |(), ask, out| write_link(ask, out))?;
        ensure!(failed.is_empty(), "{failed:?}");
        let failed = network.apply(addresses.iter().copied(), |address, ask, out| {
            write_route(*address, ask, out);
        })?;
        ensure!(failed.is_empty(), "{failed:?}");
        loads.push(started.elapsed());
        left -= 1;
        if left == 0 {
            return Ok(Netlink {
                load: median(loads),
                servers: median(servers),
                change: change(runtime, scene, &namespace)?,
            });
        }
    }
}

/// How long another destination in place of one takes: the median of some.
fn change(runtime: &Handle, scene: &Scene, namespace: &Namespace) -> anyhow::Result<Duration> {
    let key = key(0);
    let mut ipvs = namespace.run(Ipvs::connect)?;
    let mut watch = namespace.run(Ipvs::connect)?;
    let _watched = Watched::start(move || drop(watch.destinations(key)));
    let mut follower = runtime.block_on(Follower::connect(scene.control_plane))?;
    let mut was: SocketAddr = format!("{}:{TARGET}", scene.size.endpoints_of(0)[0]).parse()?;
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let is = SocketAddr::from(([10, 250, 0, 1], 9090 + change));
        let edit = [
            Change::AddDestination(key, destination(is)),
            Change::DeleteDestination(key, DestinationKey::from(was)),
        ];
        was = is;
        pause(REST);
        scene.remote.change()?;
        let (took, failed) = runtime.block_on(follower.next(|| {
            let started = Instant::now();
            let failed = ipvs.apply(edit)?;
            Ok((started.elapsed(), failed))
        }))?;
        ensure!(failed.is_empty(), "{failed:?}");
        times.push(took);
    }
    Ok(median(times))
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

/// A link as `ip link add kube-ipvs0 type dummy` makes it.
fn write_link(ask: Ask, out: &mut Vec<u8>) {
    const RTM_NEWLINK: u16 = 16;
    const IFLA_IFNAME: u16 = 3;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_INFO_KIND: u16 = 1;
    let mut link = Writer::begin(out, header(RTM_NEWLINK, ask), &[0; 16]);
    link.put_str(IFLA_IFNAME, "kube-ipvs0");
    link.nest(IFLA_LINKINFO, |info| info.put(IFLA_INFO_KIND, b"dummy"));
    // It is far shorter than netlink can say.
    link.end().unwrap_or_default();
}

/// A route as `ip route add local ADDRESS dev lo proto 109 metric 1024` makes it.
fn write_route(address: Ipv4Addr, ask: Ask, out: &mut Vec<u8>) {
    const RTM_NEWROUTE: u16 = 24;
    const AF_INET: u8 = 2;
    const RT_TABLE_LOCAL: u8 = 255;
    const RT_SCOPE_HOST: u8 = 254;
    const RTN_LOCAL: u8 = 2;
    const MESHLITE: u8 = 109;
    const RTA_DST: u16 = 1;
    const RTA_OIF: u16 = 4;
    const RTA_PRIORITY: u16 = 6;
    const LOOPBACK: u32 = 1;
    let own = [
        AF_INET,
        32,
        0,
        0,
        RT_TABLE_LOCAL,
        MESHLITE,
        RT_SCOPE_HOST,
        RTN_LOCAL,
        0,
        0,
        0,
        0,
    ];
    let mut route = Writer::begin(out, header(RTM_NEWROUTE, ask), &own);
    route.put(RTA_DST, &address.octets());
    route.put_u32_ne(RTA_OIF, LOOPBACK);
    route.put_u32_ne(RTA_PRIORITY, 1024);
    // It is far shorter than netlink can say.
    route.end().unwrap_or_default();
}

fn header(kind: u16, ask: Ask) -> Header {
    let mut wanted = flags::NLM_F_REQUEST | flags::NLM_F_CREATE | flags::NLM_F_EXCL;
    if ask.acknowledge {
        wanted |= flags::NLM_F_ACK;
    }
    Header {
        kind,
        flags: wanted,
        sequence: ask.sequence,
    }
}
