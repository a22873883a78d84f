//! A service, out of the attributes in `IPVS_CMD_ATTR_SERVICE`.

use std::num::NonZeroU32;

use meshlite_netlink::Attributes;

use super::super::{Malformed, uapi};
use super::{address, family, statistics::statistics, value};
use crate::{
    Family, Persistence, PersistenceEngine, Protocol, Scheduler, Service, ServiceEntry,
    ServiceFlags, ServiceKey, ServiceSettings, Statistics,
};

/// The attributes of a service as they come, in any order.
#[derive(Default)]
struct RawService<'a> {
    family: Option<u16>,
    protocol: u16,
    address: Option<&'a [u8]>,
    port: u16,
    mark: u32,
    scheduler: &'a str,
    engine: &'a str,
    flags: u32,
    timeout: u32,
    netmask: [u8; 4],
    statistics: Statistics,
}

pub(super) fn service(attributes: Attributes<'_>) -> Result<ServiceEntry, Malformed> {
    let mut raw = RawService::default();
    for attribute in attributes {
        let a = attribute?;
        match a.kind {
            uapi::IPVS_SVC_ATTR_AF => raw.family = Some(a.u16_ne("IPVS_SVC_ATTR_AF")?),
            uapi::IPVS_SVC_ATTR_PROTOCOL => raw.protocol = a.u16_ne("IPVS_SVC_ATTR_PROTOCOL")?,
            uapi::IPVS_SVC_ATTR_ADDR => raw.address = Some(a.bytes()),
            uapi::IPVS_SVC_ATTR_PORT => raw.port = a.u16_be("IPVS_SVC_ATTR_PORT")?,
            uapi::IPVS_SVC_ATTR_FWMARK => raw.mark = a.u32_ne("IPVS_SVC_ATTR_FWMARK")?,
            uapi::IPVS_SVC_ATTR_SCHED_NAME => raw.scheduler = a.str("IPVS_SVC_ATTR_SCHED_NAME")?,
            uapi::IPVS_SVC_ATTR_PE_NAME => raw.engine = a.str("IPVS_SVC_ATTR_PE_NAME")?,
            uapi::IPVS_SVC_ATTR_FLAGS => {
                let [f0, f1, f2, f3, ..]: [u8; 8] = a.array("IPVS_SVC_ATTR_FLAGS")?;
                raw.flags = u32::from_ne_bytes([f0, f1, f2, f3]);
            }
            uapi::IPVS_SVC_ATTR_TIMEOUT => raw.timeout = a.u32_ne("IPVS_SVC_ATTR_TIMEOUT")?,
            uapi::IPVS_SVC_ATTR_NETMASK => raw.netmask = a.array("IPVS_SVC_ATTR_NETMASK")?,
            uapi::IPVS_SVC_ATTR_STATS64 => raw.statistics = statistics(a.nested())?,
            _ => {}
        }
    }
    raw.finish()
}

impl RawService<'_> {
    fn finish(self) -> Result<ServiceEntry, Malformed> {
        let number = self.family.ok_or(Malformed::Missing("IPVS_SVC_ATTR_AF"))?;
        let family = family(number, "IPVS_SVC_ATTR_AF")?;
        let key = match NonZeroU32::new(self.mark) {
            Some(mark) => ServiceKey::Mark { family, mark },
            None => ServiceKey::Address {
                protocol: u8::try_from(self.protocol)
                    .map(Protocol::from_number)
                    .map_err(|_over_255| value("IPVS_SVC_ATTR_PROTOCOL", self.protocol))?,
                address: address(self.address, family, "IPVS_SVC_ATTR_ADDR")?,
                port: self.port,
            },
        };
        let persistence = if self.flags & uapi::IP_VS_SVC_F_PERSISTENT == 0 {
            None
        } else {
            Some(self.persistence(family)?)
        };
        let settings = ServiceSettings {
            scheduler: Scheduler::new(self.scheduler).map_err(|_no_name| Malformed::Text {
                attribute: "IPVS_SVC_ATTR_SCHED_NAME",
            })?,
            flags: ServiceFlags::from_bits_retain(
                self.flags & !(uapi::IP_VS_SVC_F_PERSISTENT | uapi::IP_VS_SVC_F_HASHED),
            ),
            persistence,
        };
        Ok(ServiceEntry {
            service: Service { key, settings },
            statistics: self.statistics,
        })
    }

    fn persistence(&self, family: Family) -> Result<Persistence, Malformed> {
        let engine = match self.engine {
            "" => None,
            name => Some(
                PersistenceEngine::new(name).map_err(|_no_name| Malformed::Text {
                    attribute: "IPVS_SVC_ATTR_PE_NAME",
                })?,
            ),
        };
        let prefix = Persistence::prefix_of(self.netmask, family)
            .ok_or_else(|| value("IPVS_SVC_ATTR_NETMASK", u32::from_ne_bytes(self.netmask)))?;
        Ok(Persistence {
            timeout: self.timeout,
            prefix,
            engine,
        })
    }
}
