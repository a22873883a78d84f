//! Whether the kernel does what a module is for, where neither it nor a file tells of the module: it is asked to.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use meshlite_ipvs::{Change, Ipvs, Protocol, Scheduler, Service, ServiceKey, ServiceSettings};
use meshlite_nft::Nftables;

use crate::host::Conntrack;

/// Where a virtual server is tried: an address that is reserved for documentation, and a port of no other trial.
const TRIAL: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::new(198, 51, 100, 0)), 19_999);

/// Whether this kernel does what a module is for; none where that cannot be told.
pub(super) fn works(module: &str) -> Option<bool> {
    let is_there = |path: &str| Some(Path::new(path).exists());
    match module {
        "ip_vs" => is_there("/proc/net/ip_vs"),
        // Not by a trial: should the kernel load one of these by itself, its networking may stand still for good.
        "ip_vs_lblc" => is_there("/proc/sys/net/ipv4/vs/lblc_expiration"),
        "ip_vs_lblcr" => is_there("/proc/sys/net/ipv4/vs/lblcr_expiration"),
        "nf_conntrack" => is_there("/proc/sys/net/netfilter/nf_conntrack_max"),
        "nf_conntrack_netlink" => {
            let listed = Conntrack::connect().and_then(|mut conntrack| conntrack.flows(&[]));
            Some(listed.is_ok())
        }
        "nf_tables" => Some(Nftables::connect().is_ok()),
        _ => schedules(module.strip_prefix("ip_vs_")?.parse().ok()?),
    }
}

/// Whether a virtual server can have this scheduler; none without IPVS.
fn schedules(scheduler: Scheduler) -> Option<bool> {
    let mut ipvs = Ipvs::connect().ok()?;
    let (address, port) = TRIAL;
    let key = ServiceKey::address(Protocol::TCP, (address, port).into());
    // Should an earlier trial have been cut short, or another be under way.
    drop(ipvs.change(Change::DeleteService(key)));
    let settings = ServiceSettings::new(scheduler);
    let tried = ipvs.change(Change::AddService(Service { key, settings }));
    drop(ipvs.change(Change::DeleteService(key)));
    Some(tried.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ipvs::tests::fresh;

    #[test]
    fn ipvs_says_by_itself_which_schedulers_it_has() {
        if fresh().is_none() {
            return;
        }
        assert_eq!(works("ip_vs_rr"), Some(true));
        assert_eq!(works("ip_vs_wlc"), Some(true));
        assert_eq!(works("ip_vs_lblcr"), Some(true));
        assert_eq!(works("ip_vs_absent"), Some(false));
        let left = Ipvs::connect().unwrap().services().unwrap();
        assert_eq!(left, [], "a trial was left");
    }
}
