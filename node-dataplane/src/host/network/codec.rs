//! Messages of `rtnetlink` about links, addresses and routes, as in the kernel's `linux/rtnetlink.h`. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use meshlite_netlink::{Attribute, Attributes, Header, Malformed, Overlong, Writer, flags};

use super::{LOCAL_ROUTE_PROTOCOL, Link, LinkAddress};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_EXT_MASK: u16 = 29;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const IFF_UP: u32 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// The address is not asked about before it is used.
const IFA_F_NODAD: u8 = 0x02;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
/// Behind those that the kernel makes for addresses of links: so both can be there while one takes over from the other.
const LOCAL_ROUTE_PRIORITY: u32 = 1024;
const RT_TABLE_LOCAL: u8 = 255;
const RT_SCOPE_HOST: u8 = 254;
const RTN_LOCAL: u8 = 2;

/// A name has at most so many bytes (`IFNAMSIZ`, without the NUL).
const MAX_NAME: usize = 15;

/// Bytes of `struct ifinfomsg`, `struct ifaddrmsg` and `struct rtmsg`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// What is said to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    GetLink { name: &'a str },
    AddDummy { name: &'a str },
    RemoveLink { index: u32 },
    ListAddresses,
    AddAddress { link: u32, address: IpAddr },
    RemoveAddress { link: u32, address: IpAddr },
    ListLocalRoutes { family: i32 },
    AddLocalRoute { link: u32, address: IpAddr },
    RemoveLocalRoute { address: IpAddr },
}

/// Writes a message to the end of `out`.
pub(super) fn write(
    message: &Message<'_>,
    sequence: u32,
    acknowledge: bool,
    out: &mut Vec<u8>,
) -> Result<(), Overlong> {
    let (kind, mut own_flags) = message.kind();
    own_flags |= flags::NLM_F_REQUEST;
    if acknowledge {
        own_flags |= flags::NLM_F_ACK;
    }
    let header = Header {
        kind,
        flags: own_flags,
        sequence,
    };
    match *message {
        Message::GetLink { name } => {
            let mut w = Writer::begin(out, header, &link_header(0));
            w.put_str(IFLA_IFNAME, cut(name));
            w.put_u32_ne(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
            w.end()
        }
        Message::AddDummy { name } => {
            let mut w = Writer::begin(out, header, &link_header(0));
            w.put_str(IFLA_IFNAME, cut(name));
            w.nest(IFLA_LINKINFO, |w| w.put(IFLA_INFO_KIND, b"dummy"));
            w.end()
        }
        Message::RemoveLink { index } => Writer::begin(out, header, &link_header(index)).end(),
        Message::ListAddresses => Writer::begin(out, header, &[0; ADDRESS_HEADER]).end(),
        Message::AddAddress { link, address } | Message::RemoveAddress { link, address } => {
            let mut w = Writer::begin(out, header, &address_header(link, address));
            put_address(&mut w, IFA_LOCAL, address);
            if address.is_ipv4() {
                put_address(&mut w, IFA_ADDRESS, address);
            }
            w.end()
        }
        Message::ListLocalRoutes { family } => {
            // Nothing but these may be said where the kernel is to filter.
            let mut own = route_header(family_byte(family), 0);
            own[6] = 0;
            Writer::begin(out, header, &own).end()
        }
        Message::AddLocalRoute { link, address } => {
            let mut w = Writer::begin(out, header, &route_of(address));
            put_address(&mut w, RTA_DST, address);
            w.put_u32_ne(RTA_OIF, link);
            w.put_u32_ne(RTA_PRIORITY, LOCAL_ROUTE_PRIORITY);
            w.end()
        }
        Message::RemoveLocalRoute { address } => {
            let mut w = Writer::begin(out, header, &route_of(address));
            put_address(&mut w, RTA_DST, address);
            w.end()
        }
    }
}

impl Message<'_> {
    /// The type of message, and its flags.
    fn kind(&self) -> (u16, u16) {
        let make = flags::NLM_F_CREATE | flags::NLM_F_EXCL;
        match self {
            Self::GetLink { .. } => (RTM_GETLINK, 0),
            Self::AddDummy { .. } => (RTM_NEWLINK, make),
            Self::RemoveLink { .. } => (RTM_DELLINK, 0),
            Self::ListAddresses => (RTM_GETADDR, flags::NLM_F_DUMP),
            Self::AddAddress { .. } => (RTM_NEWADDR, make),
            Self::RemoveAddress { .. } => (RTM_DELADDR, 0),
            Self::ListLocalRoutes { .. } => (RTM_GETROUTE, flags::NLM_F_DUMP),
            Self::AddLocalRoute { .. } => (RTM_NEWROUTE, make),
            Self::RemoveLocalRoute { .. } => (RTM_DELROUTE, 0),
        }
    }
}

/// Reads a link.
pub(super) fn link(payload: &[u8]) -> Result<Link, Malformed> {
    let (header, attributes) = Attributes::behind::<LINK_HEADER>(payload)?;
    let &[_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..] = header;
    let name = attributes.need(IFLA_IFNAME, "IFLA_IFNAME")?;
    Ok(Link {
        index: u32::from_ne_bytes([i0, i1, i2, i3]),
        name: name.str("IFLA_IFNAME")?.to_owned(),
        is_up: u32::from_ne_bytes([f0, f1, f2, f3]) & IFF_UP != 0,
    })
}

/// Reads an address; `None` where it is of another family than IP.
pub(super) fn address(payload: &[u8]) -> Result<Option<LinkAddress>, Malformed> {
    let (header, attributes) = Attributes::behind::<ADDRESS_HEADER>(payload)?;
    let &[family, prefix, _, _, i0, i1, i2, i3] = header;
    // Of a link to one peer, the other attribute is the peer's.
    let own = match attributes.find(IFA_LOCAL)? {
        Some(own) => own,
        None => attributes.need(IFA_ADDRESS, "IFA_ADDRESS")?,
    };
    Ok(ip(family, own, "IFA_LOCAL")?.map(|address| LinkAddress {
        link: u32::from_ne_bytes([i0, i1, i2, i3]),
        address,
        prefix,
    }))
}

/// Reads a route; `None` where it is none of our `local` ones.
pub(super) fn local_route(payload: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    let (header, attributes) = Attributes::behind::<ROUTE_HEADER>(payload)?;
    let &[
        family,
        length,
        _,
        _,
        RT_TABLE_LOCAL,
        LOCAL_ROUTE_PROTOCOL,
        _,
        RTN_LOCAL,
        ..,
    ] = header
    else {
        return Ok(None);
    };
    let Some(destination) = attributes.find(RTA_DST)? else {
        return Ok(None);
    };
    let address = ip(family, destination, "RTA_DST")?;
    Ok(address.filter(|address| length == bits(*address)))
}

fn ip(
    family: u8,
    attribute: Attribute<'_>,
    name: &'static str,
) -> Result<Option<IpAddr>, Malformed> {
    match i32::from(family) {
        libc::AF_INET => Ok(Some(Ipv4Addr::from(attribute.array(name)?).into())),
        libc::AF_INET6 => {
            let bytes: [u8; 16] = attribute.array(name)?;
            Ok(Some(Ipv6Addr::from(bytes).into()))
        }
        _ => Ok(None),
    }
}

fn link_header(index: u32) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

fn address_header(link: u32, address: IpAddr) -> [u8; ADDRESS_HEADER] {
    let [l0, l1, l2, l3] = link.to_ne_bytes();
    let flags = if address.is_ipv6() { IFA_F_NODAD } else { 0 };
    [family_of(address), bits(address), flags, 0, l0, l1, l2, l3]
}

fn route_of(address: IpAddr) -> [u8; ROUTE_HEADER] {
    route_header(family_of(address), bits(address))
}

fn route_header(family: u8, length: u8) -> [u8; ROUTE_HEADER] {
    let table = RT_TABLE_LOCAL;
    let protocol = LOCAL_ROUTE_PROTOCOL;
    let scope = RT_SCOPE_HOST;
    [
        family, length, 0, 0, table, protocol, scope, RTN_LOCAL, 0, 0, 0, 0,
    ]
}

fn put_address(w: &mut Writer<'_>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => w.put(kind, &address.octets()),
        IpAddr::V6(address) => w.put(kind, &address.octets()),
    }
}

/// Bits of an address.
fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn family_of(address: IpAddr) -> u8 {
    family_byte(if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    })
}

fn family_byte(family: i32) -> u8 {
    u8::try_from(family).unwrap_or(0)
}

/// What of a name fits.
fn cut(name: &str) -> &str {
    match name
        .char_indices()
        .find(|(at, c)| at + c.len_utf8() > MAX_NAME)
    {
        Some((end, _)) => name.get(..end).unwrap_or_default(),
        None => name,
    }
}
