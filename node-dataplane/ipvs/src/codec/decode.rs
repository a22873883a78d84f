//! Payloads of generic netlink messages to answers.

mod destination;
mod service;
mod statistics;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use meshlite_netlink::Attributes;

use super::{Malformed, uapi};
use crate::{DestinationEntry, Family, Info, ServiceEntry, Timeouts, Version};

/// The field of the generic netlink header that says what a message is.
const COMMAND: &str = "genlmsghdr.cmd";

/// What the kernel answers to a [`Query`](crate::Query).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// A service.
    Service(ServiceEntry),
    /// A destination of the service that was asked for.
    Destination(DestinationEntry),
    /// Version and size.
    Info(Info),
    /// The timeouts of idle connections; 0 for a protocol that the kernel's IPVS was built without.
    Timeouts(Timeouts),
}

impl Answer {
    /// Reads the payload of one message of the IPVS family: [`Body::Data`](super::Body::Data).
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let (command, attributes) = generic(payload)?;
        match command {
            uapi::IPVS_CMD_NEW_SERVICE => {
                let inner =
                    attributes.need(uapi::IPVS_CMD_ATTR_SERVICE, "IPVS_CMD_ATTR_SERVICE")?;
                service::service(inner.nested()).map(Self::Service)
            }
            uapi::IPVS_CMD_NEW_DEST => {
                let inner = attributes.need(uapi::IPVS_CMD_ATTR_DEST, "IPVS_CMD_ATTR_DEST")?;
                destination::destination(inner.nested()).map(Self::Destination)
            }
            uapi::IPVS_CMD_SET_INFO => info(attributes).map(Self::Info),
            uapi::IPVS_CMD_SET_CONFIG => timeouts(attributes).map(Self::Timeouts),
            _ => Err(value(COMMAND, command)),
        }
    }
}

/// Reads the number of the IPVS family out of the answer to [`encode_find_family`](super::encode_find_family).
pub fn decode_family(payload: &[u8]) -> Result<u16, Malformed> {
    match generic(payload)? {
        (uapi::CTRL_CMD_NEWFAMILY, attributes) => attributes
            .need(uapi::CTRL_ATTR_FAMILY_ID, "CTRL_ATTR_FAMILY_ID")?
            .u16_ne("CTRL_ATTR_FAMILY_ID"),
        (command, _) => Err(value(COMMAND, command)),
    }
}

/// Command and attributes behind the generic netlink header.
fn generic(payload: &[u8]) -> Result<(u8, Attributes<'_>), Malformed> {
    let (&[command, ..], attributes) = Attributes::behind::<4>(payload)?;
    Ok((command, attributes))
}

fn info(attributes: Attributes<'_>) -> Result<Info, Malformed> {
    let (mut version, mut size) = (None, None);
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            uapi::IPVS_INFO_ATTR_VERSION => {
                version = Some(attribute.u32_ne("IPVS_INFO_ATTR_VERSION")?);
            }
            uapi::IPVS_INFO_ATTR_CONN_TAB_SIZE => {
                size = Some(attribute.u32_ne("IPVS_INFO_ATTR_CONN_TAB_SIZE")?);
            }
            _ => {}
        }
    }
    let code = version.ok_or(Malformed::Missing("IPVS_INFO_ATTR_VERSION"))?;
    let [_, major, minor, patch] = code.to_be_bytes();
    Ok(Info {
        version: Version {
            major,
            minor,
            patch,
        },
        connection_table_size: size.ok_or(Malformed::Missing("IPVS_INFO_ATTR_CONN_TAB_SIZE"))?,
    })
}

fn timeouts(attributes: Attributes<'_>) -> Result<Timeouts, Malformed> {
    let mut timeouts = Timeouts::default();
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            uapi::IPVS_CMD_ATTR_TIMEOUT_TCP => {
                timeouts.tcp = attribute.u32_ne("IPVS_CMD_ATTR_TIMEOUT_TCP")?;
            }
            uapi::IPVS_CMD_ATTR_TIMEOUT_TCP_FIN => {
                timeouts.tcp_fin = attribute.u32_ne("IPVS_CMD_ATTR_TIMEOUT_TCP_FIN")?;
            }
            uapi::IPVS_CMD_ATTR_TIMEOUT_UDP => {
                timeouts.udp = attribute.u32_ne("IPVS_CMD_ATTR_TIMEOUT_UDP")?;
            }
            _ => {}
        }
    }
    Ok(timeouts)
}

fn family(number: u16, attribute: &'static str) -> Result<Family, Malformed> {
    match number {
        uapi::AF_INET => Ok(Family::V4),
        uapi::AF_INET6 => Ok(Family::V6),
        _ => Err(value(attribute, number)),
    }
}

/// An address out of `union nf_inet_addr`, in which an IPv4 address is the first four bytes.
fn address(
    bytes: Option<&[u8]>,
    family: Family,
    attribute: &'static str,
) -> Result<IpAddr, Malformed> {
    let bytes = bytes.ok_or(Malformed::Missing(attribute))?;
    let address = match family {
        Family::V4 => bytes
            .first_chunk::<4>()
            .map(|b| IpAddr::V4(Ipv4Addr::from(*b))),
        Family::V6 => bytes
            .first_chunk::<16>()
            .map(|b| IpAddr::V6(Ipv6Addr::from(*b))),
    };
    address.ok_or(Malformed::Size {
        attribute,
        length: bytes.len(),
    })
}

fn value(attribute: &'static str, value: impl Into<u32>) -> Malformed {
    Malformed::Value {
        attribute,
        value: value.into(),
    }
}
