//! Keys and data of elements: places, endpoints, and whose a virtual server is, as bytes and back.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use meshlite_nft::{Field, UserData, Value};
use meshlite_snapshot::{AddressFamily, Protocol};

use crate::table::{Frontend, Origin, ServicePortName, VipKind, VirtualAddress};

/// `address . protocol . port`, where the unspecified address stands for every address of this node.
pub(crate) fn vip_fields(frontend: &Frontend) -> [Field; 3] {
    [
        frontend.address.ip().into(),
        Field::Protocol(number_of(frontend.protocol)),
        Field::Port(frontend.port),
    ]
}

/// The key of a place.
pub(crate) fn vip(frontend: &Frontend) -> Value {
    Value::concat(&vip_fields(frontend))
}

/// The key of a place and one field more.
pub(crate) fn vip_and(frontend: &Frontend, last: Field) -> Value {
    let [address, protocol, port] = vip_fields(frontend);
    Value::concat(&[address, protocol, port, last])
}

/// `address . port`.
pub(crate) fn endpoint(address: SocketAddr) -> Value {
    Value::concat(&[address.ip().into(), Field::Port(address.port())])
}

/// The key of a place and an endpoint of it.
#[expect(clippy::expect_used, reason = "44 bytes at most are a value")]
pub(crate) fn vip_and_endpoint(frontend: &Frontend, address: SocketAddr) -> Value {
    let (place, endpoint) = (vip(frontend), endpoint(address));
    Value::new([place.as_bytes(), endpoint.as_bytes()].concat()).expect("a value")
}

/// The place that a key begins with, and what follows it.
pub(crate) fn split_vip(bytes: &[u8], family: AddressFamily) -> Option<(Frontend, &[u8])> {
    let (ip, rest) = split_ip(bytes, family)?;
    let ([protocol, _, _, _, p0, p1, _, _], rest) = rest.split_first_chunk::<8>()?;
    let address = if ip.is_unspecified() {
        VirtualAddress::EveryNodeAddress(family)
    } else {
        VirtualAddress::Ip(ip)
    };
    let frontend = Frontend {
        address,
        port: u16::from_be_bytes([*p0, *p1]),
        protocol: protocol_of(*protocol)?,
    };
    Some((frontend, rest))
}

/// The endpoint that [`endpoint`] wrote.
pub(crate) fn read_endpoint(bytes: &[u8], family: AddressFamily) -> Option<SocketAddr> {
    let (ip, rest) = split_ip(bytes, family)?;
    let [p0, p1, _, _] = rest.first_chunk::<4>()?;
    Some(SocketAddr::new(ip, u16::from_be_bytes([*p0, *p1])))
}

/// The number that [`Field::Mark`] wrote.
pub(crate) fn read_number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.first_chunk::<4>()?))
}

/// The address that bytes begin with, and what follows it.
pub(crate) fn split_ip(bytes: &[u8], family: AddressFamily) -> Option<(IpAddr, &[u8])> {
    Some(match family {
        AddressFamily::Ipv4 => {
            let (ip, rest) = bytes.split_first_chunk::<4>()?;
            (IpAddr::from(*ip), rest)
        }
        AddressFamily::Ipv6 => {
            let (ip, rest) = bytes.split_first_chunk::<16>()?;
            (IpAddr::from(*ip), rest)
        }
    })
}

pub(crate) const fn number_of(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

const fn protocol_of(number: u8) -> Option<Protocol> {
    match number {
        6 => Some(Protocol::Tcp),
        17 => Some(Protocol::Udp),
        132 => Some(Protocol::Sctp),
        _ => None,
    }
}

const KINDS: [VipKind; 4] = [
    VipKind::ClusterIP,
    VipKind::NodePort,
    VipKind::LoadBalancer,
    VipKind::ExternalIP,
];
/// What parts the names of an origin: no name of Kubernetes has it.
const SEPARATOR: u8 = 0;
/// The kernel keeps no more with an element, in bytes.
const MAX_USER_DATA: usize = 256;

/// Whose a virtual server is, to be kept with an element. Nothing where it is too long, or not known.
pub(crate) fn origin_data(origin: Option<&Origin>) -> UserData {
    let Some(origin) = origin else {
        return UserData::default();
    };
    let kind = KINDS.iter().position(|kind| *kind == origin.kind);
    let kind = kind.and_then(|kind| u8::try_from(kind).ok()).unwrap_or(0);
    let name = &origin.service_port;
    let parts = [&name.namespace, &name.service, &name.port];
    let length = parts.len() + parts.iter().map(|part| part.len()).sum::<usize>();
    if length > MAX_USER_DATA {
        return UserData::default();
    }
    let mut bytes = Vec::with_capacity(length);
    // Before each name is a byte: the kind before the first, and what parts them before the others.
    for (before, part) in [kind, SEPARATOR, SEPARATOR].into_iter().zip(parts) {
        bytes.push(before);
        bytes.extend_from_slice(part.as_bytes());
    }
    UserData::new(bytes)
}

/// What [`origin_data`] wrote.
pub(crate) fn read_origin(data: &UserData) -> Option<Origin> {
    let (kind, names) = data.as_bytes().split_first()?;
    let kind = *KINDS.get(usize::from(*kind))?;
    let mut names = std::str::from_utf8(names)
        .ok()?
        .split(char::from(SEPARATOR));
    let mut next = || names.next().map(Arc::from);
    let service_port = ServicePortName {
        namespace: next()?,
        service: next()?,
        port: next()?,
    };
    Some(Origin { service_port, kind })
}
