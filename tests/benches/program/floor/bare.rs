//! What a node with IPVS sends to the kernel, in bare loops: nothing is derived, read, compared or remembered.

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
use meshlite_nft::{
    Data, Element, Family, Field, Name, Nftables, Set, Table, TableKey, Transaction, Type,
    UserData, Value,
};
use meshlite_tests::figures::median;

use crate::{
    flat::CHANGES,
    objects::{PORT, Size, TARGET, vip},
    subject::REST,
    watch::pause,
};

const TCP: u8 = 6;

/// How long IPVS takes in bare loops that send what is ready to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Netlink {
    /// All that a node sends for all Services: elements of its nft table, a `local` route for each address, virtual
    /// servers and destinations.
    pub(crate) load: Duration,
    /// Of that, virtual servers and destinations.
    pub(crate) servers: Duration,
    /// Another destination in place of one.
    pub(crate) change: Duration,
}

/// Measures it, so often.
pub(crate) fn netlink(size: Size, rounds: u16) -> anyhow::Result<Netlink> {
    let (changes, rules) = (changes(size)?, rules(size)?);
    let addresses: Vec<_> = (0..size.services).map(vip).collect();
    let (mut loads, mut servers, mut edits) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let namespace = super::host()?;
        let mut nftables = namespace.run(Nftables::connect)?;
        let mut routes = Exchange::new(namespace.run(KernelSocket::route)?);
        let mut ipvs = namespace.run(Ipvs::connect)?;
        let started = Instant::now();
        nftables.commit(&rules)?;
        let failed = routes.apply(addresses.iter().copied(), |address, ask, out| {
            write_route(*address, ask, out);
        })?;
        ensure!(failed.is_empty(), "{failed:?}");
        let helped = Instant::now();
        let failed = ipvs.apply(changes.iter().copied())?;
        loads.push(started.elapsed());
        servers.push(helped.elapsed());
        ensure!(failed.is_empty(), "{failed:?}");
        edits.push(edit(&mut ipvs, size)?);
    }
    Ok(Netlink {
        load: median(loads),
        servers: median(servers),
        change: median(edits),
    })
}

/// How long another destination in place of one takes: the median of some.
fn edit(ipvs: &mut Ipvs, size: Size) -> anyhow::Result<Duration> {
    let key = key(0);
    let mut was: SocketAddr = format!("{}:{TARGET}", size.endpoints_of(0)[0]).parse()?;
    let mut edits = Vec::new();
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
    Ok(median(edits))
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

/// The elements by which packets to Services are masqueraded, and other ports of their addresses refused.
fn rules(size: Size) -> anyhow::Result<Transaction> {
    let name = |text: &str| text.parse::<Name>();
    let table = Table {
        key: TableKey {
            family: Family::Inet,
            name: name("bare")?,
        },
        dormant: false,
        user_data: UserData::default(),
    };
    let (frontends, vips) = (name("frontends")?, name("vips")?);
    let (frontends, vips) = (table.key.set(frontends), table.key.set(vips));
    let place = Type::concat([Type::IPV4, Type::PROTOCOL, Type::PORT]);
    let mut transaction = Transaction::new();
    transaction.add_table(&table);
    transaction.add_set(&Set::map(frontends.clone(), place, Type::MARK));
    transaction.add_set(&Set::new(vips.clone(), Type::IPV4));
    let frontend = |number: u32| {
        let place = [vip(number).into(), Field::Protocol(TCP), Field::Port(PORT)];
        // Whose it is, as a node notes it.
        let user_data = UserData::new(format!("default/service-{number}").into_bytes());
        Element {
            user_data,
            ..Element::mapping(Value::concat(&place), Data::Value(Field::Mark(41).into()))
        }
    };
    transaction.add_elements(&frontends, (0..size.services).map(frontend));
    let address = |number| Element::new(Field::from(vip(number)).into());
    transaction.add_elements(&vips, (0..size.services).map(address));
    Ok(transaction)
}

/// A route as `ip route add local ADDRESS dev lo` makes it.
fn write_route(address: Ipv4Addr, ask: Ask, out: &mut Vec<u8>) {
    const RTM_NEWROUTE: u16 = 24;
    const AF_INET: u8 = 2;
    const RT_TABLE_LOCAL: u8 = 255;
    const RT_SCOPE_HOST: u8 = 254;
    const RTN_LOCAL: u8 = 2;
    const STATIC: u8 = 4;
    const RTA_DST: u16 = 1;
    const RTA_OIF: u16 = 4;
    const LOOPBACK: u32 = 1;
    let mut wanted = flags::NLM_F_REQUEST | flags::NLM_F_CREATE | flags::NLM_F_EXCL;
    if ask.acknowledge {
        wanted |= flags::NLM_F_ACK;
    }
    let header = Header {
        kind: RTM_NEWROUTE,
        flags: wanted,
        sequence: ask.sequence,
    };
    let own = [
        AF_INET,
        32,
        0,
        0,
        RT_TABLE_LOCAL,
        STATIC,
        RT_SCOPE_HOST,
        RTN_LOCAL,
        0,
        0,
        0,
        0,
    ];
    let mut route = Writer::begin(out, header, &own);
    route.put(RTA_DST, &address.octets());
    route.put_u32_ne(RTA_OIF, LOOPBACK);
    // It is far shorter than netlink can say.
    route.end().unwrap_or_default();
}
