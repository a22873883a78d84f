//! Messages of connection tracking, as in the kernel's `linux/netfilter/nfnetlink_conntrack.h`. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use meshlite_netlink::{Ask, Attributes, Header, Malformed, Overlong, Writer, flags};
use meshlite_snapshot::Protocol;

use super::{Flow, Tuple};

/// `NFNL_SUBSYS_CTNETLINK`.
const SUBSYSTEM: u16 = 1 << 8;
const IPCTNL_MSG_CT_GET: u16 = SUBSYSTEM | 1;
const IPCTNL_MSG_CT_DELETE: u16 = SUBSYSTEM | 2;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;

/// `IPS_SEEN_REPLY` of `linux/netfilter/nf_conntrack_common.h`.
const SEEN_REPLY: u32 = 1 << 1;

/// Bytes of `struct nfgenmsg`.
const OWN_HEADER: usize = 4;

/// Asks for all connections.
pub(super) fn write_list(sequence: u32, out: &mut Vec<u8>) -> Result<(), Overlong> {
    let header = Header {
        kind: IPCTNL_MSG_CT_GET,
        flags: flags::NLM_F_REQUEST | flags::NLM_F_DUMP,
        sequence,
    };
    Writer::begin(out, header, &[0; OWN_HEADER]).end()
}

/// Deletes one connection. It is always named in full: without its tuple the kernel would delete all that there are.
pub(super) fn write_delete(flow: &Flow, ask: Ask, out: &mut Vec<u8>) -> Result<(), Overlong> {
    let acknowledge = if ask.acknowledge { flags::NLM_F_ACK } else { 0 };
    let header = Header {
        kind: IPCTNL_MSG_CT_DELETE,
        flags: flags::NLM_F_REQUEST | acknowledge,
        sequence: ask.sequence,
    };
    let family = match flow.original.destination {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let own = [u8::try_from(family).unwrap_or(0), 0, 0, 0];
    let mut w = Writer::begin(out, header, &own);
    w.nest(CTA_TUPLE_ORIG, |w| put_tuple(w, flow));
    if flow.zone != 0 {
        w.put_u16_be(CTA_ZONE, flow.zone);
    }
    w.put_u32_be(CTA_ID, flow.id);
    w.end()
}

fn put_tuple(w: &mut Writer<'_>, flow: &Flow) {
    let Tuple {
        source,
        destination,
    } = flow.original;
    w.nest(CTA_TUPLE_IP, |w| {
        for (address, v4, v6) in [
            (source, CTA_IP_V4_SRC, CTA_IP_V6_SRC),
            (destination, CTA_IP_V4_DST, CTA_IP_V6_DST),
        ] {
            match address.ip() {
                IpAddr::V4(ip) => w.put(v4, &ip.octets()),
                IpAddr::V6(ip) => w.put(v6, &ip.octets()),
            }
        }
    });
    w.nest(CTA_TUPLE_PROTO, |w| {
        w.put(CTA_PROTO_NUM, &[number(flow.protocol)]);
        w.put_u16_be(CTA_PROTO_SRC_PORT, source.port());
        w.put_u16_be(CTA_PROTO_DST_PORT, destination.port());
    });
}

/// Reads a connection; `None` where it is of a protocol that no Service has.
pub(super) fn flow(payload: &[u8]) -> Result<Option<Flow>, Malformed> {
    let (_, attributes) = Attributes::behind::<OWN_HEADER>(payload)?;
    let original = attributes.need(CTA_TUPLE_ORIG, "CTA_TUPLE_ORIG")?.nested();
    let reply = attributes
        .need(CTA_TUPLE_REPLY, "CTA_TUPLE_REPLY")?
        .nested();
    let Some(protocol) = protocol(original)? else {
        return Ok(None);
    };
    let zone = attributes.find(CTA_ZONE)?;
    let status = attributes.need(CTA_STATUS, "CTA_STATUS")?;
    Ok(Some(Flow {
        protocol,
        original: tuple(original)?,
        reply: tuple(reply)?,
        is_answered: status.u32_be("CTA_STATUS")? & SEEN_REPLY != 0,
        zone: zone.map_or(Ok(0), |zone| zone.u16_be("CTA_ZONE"))?,
        id: attributes.need(CTA_ID, "CTA_ID")?.u32_be("CTA_ID")?,
    }))
}

fn protocol(tuple: Attributes<'_>) -> Result<Option<Protocol>, Malformed> {
    let found = tuple
        .inside(CTA_TUPLE_PROTO)?
        .need(CTA_PROTO_NUM, "CTA_PROTO_NUM")?
        .u8("CTA_PROTO_NUM")?;
    let all = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    Ok(all.into_iter().find(|protocol| number(*protocol) == found))
}

fn tuple(tuple: Attributes<'_>) -> Result<Tuple, Malformed> {
    let addresses = tuple.inside(CTA_TUPLE_IP)?;
    let ports = tuple.inside(CTA_TUPLE_PROTO)?;
    let end = |v4, v6, port, name| -> Result<SocketAddr, Malformed> {
        let ip: IpAddr = match addresses.find(v4)? {
            Some(address) => Ipv4Addr::from(address.array(name)?).into(),
            None => Ipv6Addr::from(addresses.need(v6, name)?.array::<16>(name)?).into(),
        };
        Ok((ip, ports.need(port, name)?.u16_be(name)?).into())
    };
    Ok(Tuple {
        source: end(
            CTA_IP_V4_SRC,
            CTA_IP_V6_SRC,
            CTA_PROTO_SRC_PORT,
            "source of a CTA_TUPLE",
        )?,
        destination: end(
            CTA_IP_V4_DST,
            CTA_IP_V6_DST,
            CTA_PROTO_DST_PORT,
            "destination of a CTA_TUPLE",
        )?,
    })
}

/// IANA's number of a protocol.
fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}
