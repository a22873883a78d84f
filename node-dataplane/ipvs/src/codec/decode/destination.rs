//! A destination, out of the attributes in `IPVS_CMD_ATTR_DEST`.

use meshlite_netlink::Attributes;

use super::super::{Malformed, uapi};
use super::{address, family, statistics::statistics, value};
use crate::{
    Destination, DestinationEntry, DestinationKey, DestinationSettings, Forwarding, Statistics,
    Tunnel, TunnelChecksum,
};

/// The attributes of a destination as they come, in any order.
#[derive(Default)]
struct RawDestination<'a> {
    family: Option<u16>,
    address: Option<&'a [u8]>,
    port: u16,
    method: u32,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    tunnel: u8,
    tunnel_port: u16,
    tunnel_flags: u16,
    active: u32,
    inactive: u32,
    persistent: u32,
    statistics: Statistics,
}

pub(super) fn destination(attributes: Attributes<'_>) -> Result<DestinationEntry, Malformed> {
    let mut raw = RawDestination::default();
    for attribute in attributes {
        let a = attribute?;
        match a.kind {
            uapi::IPVS_DEST_ATTR_ADDR_FAMILY => {
                raw.family = Some(a.u16_ne("IPVS_DEST_ATTR_ADDR_FAMILY")?);
            }
            uapi::IPVS_DEST_ATTR_ADDR => raw.address = Some(a.bytes()),
            uapi::IPVS_DEST_ATTR_PORT => raw.port = a.u16_be("IPVS_DEST_ATTR_PORT")?,
            uapi::IPVS_DEST_ATTR_FWD_METHOD => {
                raw.method = a.u32_ne("IPVS_DEST_ATTR_FWD_METHOD")?;
            }
            uapi::IPVS_DEST_ATTR_WEIGHT => raw.weight = a.u32_ne("IPVS_DEST_ATTR_WEIGHT")?,
            uapi::IPVS_DEST_ATTR_U_THRESH => {
                raw.upper_threshold = a.u32_ne("IPVS_DEST_ATTR_U_THRESH")?;
            }
            uapi::IPVS_DEST_ATTR_L_THRESH => {
                raw.lower_threshold = a.u32_ne("IPVS_DEST_ATTR_L_THRESH")?;
            }
            uapi::IPVS_DEST_ATTR_TUN_TYPE => raw.tunnel = a.u8("IPVS_DEST_ATTR_TUN_TYPE")?,
            uapi::IPVS_DEST_ATTR_TUN_PORT => {
                raw.tunnel_port = a.u16_be("IPVS_DEST_ATTR_TUN_PORT")?;
            }
            uapi::IPVS_DEST_ATTR_TUN_FLAGS => {
                raw.tunnel_flags = a.u16_ne("IPVS_DEST_ATTR_TUN_FLAGS")?;
            }
            uapi::IPVS_DEST_ATTR_ACTIVE_CONNS => {
                raw.active = a.u32_ne("IPVS_DEST_ATTR_ACTIVE_CONNS")?;
            }
            uapi::IPVS_DEST_ATTR_INACT_CONNS => {
                raw.inactive = a.u32_ne("IPVS_DEST_ATTR_INACT_CONNS")?;
            }
            uapi::IPVS_DEST_ATTR_PERSIST_CONNS => {
                raw.persistent = a.u32_ne("IPVS_DEST_ATTR_PERSIST_CONNS")?;
            }
            uapi::IPVS_DEST_ATTR_STATS64 => raw.statistics = statistics(a.nested())?,
            _ => {}
        }
    }
    raw.finish()
}

impl RawDestination<'_> {
    fn finish(self) -> Result<DestinationEntry, Malformed> {
        let number = self
            .family
            .ok_or(Malformed::Missing("IPVS_DEST_ATTR_ADDR_FAMILY"))?;
        let family = family(number, "IPVS_DEST_ATTR_ADDR_FAMILY")?;
        let key = DestinationKey {
            address: address(self.address, family, "IPVS_DEST_ATTR_ADDR")?,
            port: self.port,
        };
        let settings = DestinationSettings {
            forwarding: self.forwarding()?,
            weight: self.weight,
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
        };
        Ok(DestinationEntry {
            destination: Destination { key, settings },
            active_connections: self.active,
            inactive_connections: self.inactive,
            persistent_connections: self.persistent,
            statistics: self.statistics,
        })
    }

    fn forwarding(&self) -> Result<Forwarding, Malformed> {
        match self.method {
            uapi::IP_VS_CONN_F_MASQ => Ok(Forwarding::Masquerade),
            uapi::IP_VS_CONN_F_LOCALNODE => Ok(Forwarding::Local),
            uapi::IP_VS_CONN_F_TUNNEL => self.tunnel().map(Forwarding::Tunnel),
            uapi::IP_VS_CONN_F_DROUTE => Ok(Forwarding::Route),
            uapi::IP_VS_CONN_F_BYPASS => Ok(Forwarding::Bypass),
            method => Err(value("IPVS_DEST_ATTR_FWD_METHOD", method)),
        }
    }

    fn tunnel(&self) -> Result<Tunnel, Malformed> {
        let checksum = match self.tunnel_flags {
            uapi::IP_VS_TUNNEL_ENCAP_FLAG_NOCSUM => TunnelChecksum::None,
            uapi::IP_VS_TUNNEL_ENCAP_FLAG_CSUM => TunnelChecksum::Full,
            uapi::IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM => TunnelChecksum::Remote,
            flags => return Err(value("IPVS_DEST_ATTR_TUN_FLAGS", flags)),
        };
        match self.tunnel {
            uapi::IP_VS_CONN_F_TUNNEL_TYPE_IPIP => Ok(Tunnel::Ipip),
            uapi::IP_VS_CONN_F_TUNNEL_TYPE_GUE => Ok(Tunnel::Gue {
                port: self.tunnel_port,
                checksum,
            }),
            uapi::IP_VS_CONN_F_TUNNEL_TYPE_GRE => Ok(Tunnel::Gre { checksum }),
            kind => Err(value("IPVS_DEST_ATTR_TUN_TYPE", kind)),
        }
    }
}
