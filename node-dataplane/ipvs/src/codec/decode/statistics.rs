//! Counters, out of the attributes in `IPVS_SVC_ATTR_STATS64` and `IPVS_DEST_ATTR_STATS64`.

use meshlite_netlink::Attributes;

use super::super::{Malformed, uapi};
use crate::{Rates, Statistics};

/// The 64-bit counters of a service or destination.
pub(super) fn statistics(attributes: Attributes<'_>) -> Result<Statistics, Malformed> {
    let mut all = Statistics::default();
    let Statistics {
        connections,
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
        rates,
    } = &mut all;
    let Rates {
        connections: cps,
        packets_in: inpps,
        packets_out: outpps,
        bytes_in: inbps,
        bytes_out: outbps,
    } = rates;
    for attribute in attributes {
        let attribute = attribute?;
        let (counter, name) = match attribute.kind {
            uapi::IPVS_STATS_ATTR_CONNS => (&mut *connections, "IPVS_STATS_ATTR_CONNS"),
            uapi::IPVS_STATS_ATTR_INPKTS => (&mut *packets_in, "IPVS_STATS_ATTR_INPKTS"),
            uapi::IPVS_STATS_ATTR_OUTPKTS => (&mut *packets_out, "IPVS_STATS_ATTR_OUTPKTS"),
            uapi::IPVS_STATS_ATTR_INBYTES => (&mut *bytes_in, "IPVS_STATS_ATTR_INBYTES"),
            uapi::IPVS_STATS_ATTR_OUTBYTES => (&mut *bytes_out, "IPVS_STATS_ATTR_OUTBYTES"),
            uapi::IPVS_STATS_ATTR_CPS => (&mut *cps, "IPVS_STATS_ATTR_CPS"),
            uapi::IPVS_STATS_ATTR_INPPS => (&mut *inpps, "IPVS_STATS_ATTR_INPPS"),
            uapi::IPVS_STATS_ATTR_OUTPPS => (&mut *outpps, "IPVS_STATS_ATTR_OUTPPS"),
            uapi::IPVS_STATS_ATTR_INBPS => (&mut *inbps, "IPVS_STATS_ATTR_INBPS"),
            uapi::IPVS_STATS_ATTR_OUTBPS => (&mut *outbps, "IPVS_STATS_ATTR_OUTBPS"),
            _ => continue,
        };
        *counter = attribute.u64_ne(name)?;
    }
    Ok(all)
}
