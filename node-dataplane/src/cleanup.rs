//! Takes everything of ours off a host, and nothing else. It needs no control plane, and may be done again.
//!
//! ```text
//! what is there ─> rules of ours in foreign chains, virtual servers, addresses, routes, our table ─> what is there
//!                                                        └─> Notice for each difference <─────────────┘
//! ```
//!
//! Backends know what is their own and remove it. What is said is what is gone then: it is looked at before and after.
//! Sysctls and modules stay, as others may have come to need them.

use std::{collections::BTreeSet, net::IpAddr};

use meshlite_ipvs::Ipvs;
use meshlite_nft::Nftables;

use crate::{
    Notice,
    host::{Network, firewalls},
    kernel::{
        ipvs::{self, LINK},
        rules,
    },
};

/// Removes a part of it.
type Part = dyn Fn(&mut Vec<Notice>) -> Result<(), String>;

/// What a host has that may be ours.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Virtual servers of IPVS, those of others too.
    pub(crate) virtual_servers: usize,
    /// Whether there is a link for Services' addresses.
    pub(crate) has_link: bool,
    /// Its addresses, those of others too.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// Our `local` routes.
    pub(crate) routes: BTreeSet<IpAddr>,
    /// Whether our table is there.
    pub(crate) has_table: bool,
}

/// Removes it all, and says each. Blocks. What cannot be removed is a failure, and keeps nothing else from being removed.
/// `keeps_virtual_servers`: those at addresses stay, as another proxy serves with them by now, and no connection ends.
pub fn cleanup(keeps_virtual_servers: bool) -> Vec<Notice> {
    let mut notices = Vec::new();
    let backends = |notices: &mut Vec<Notice>| backends(keeps_virtual_servers, notices);
    for part in [&forwarding as &Part, &backends] {
        part(&mut notices).unwrap_or_else(|error| notices.push(Notice::failure(error)));
    }
    if notices.is_empty() {
        notices.push(Notice::of("nothing of Meshlite is on this host"));
    }
    notices
}

/// Our answers to other people's firewalls.
fn forwarding(notices: &mut Vec<Notice>) -> Result<(), String> {
    let mut nftables = match Nftables::connect() {
        Err(meshlite_nft::Error::NotSupported(_)) => return Ok(()),
        nftables => nftables.map_err(|error| error.to_string())?,
    };
    let closed = firewalls::close(&mut nftables).map_err(|error| error.to_string())?;
    notices.extend(closed.iter().map(|chain| {
        let table = &chain.table;
        Notice::of(format_args!(
            "removed the accept for Services at the end of chain {} of table {} {}",
            chain.name, table.family, table.name
        ))
    }));
    Ok(())
}

/// What the backends programmed.
fn backends(keeps_virtual_servers: bool, notices: &mut Vec<Notice>) -> Result<(), String> {
    let before = find()?;
    // It knows what is its own by the table that it has in common with the other one, and removes that last.
    let removed = if keeps_virtual_servers {
        ipvs::hand_over()
    } else {
        ipvs::remove().map(|()| 0)
    };
    let after = find()?;
    let gone = [
        (
            before.virtual_servers.saturating_sub(after.virtual_servers),
            "virtual server",
        ),
        (
            before.addresses.difference(&after.addresses).count(),
            "address of kube-ipvs0",
        ),
        (
            before.routes.difference(&after.routes).count(),
            "local route",
        ),
    ];
    let gone = gone.into_iter().filter(|(count, _)| *count > 0);
    notices.extend(gone.map(|(count, what)| Notice::of(format_args!("removed {what}: {count}"))));
    if before.has_link && !after.has_link {
        notices.push(Notice::of("removed link kube-ipvs0"));
    }
    if before.has_table && !after.has_table {
        notices.push(Notice::of("removed table inet meshlite"));
    }
    let left = removed
        .map_err(|error| format!("not all of Meshlite is removed: {error}; run this again"))?;
    if left > 0 {
        notices.push(Notice::of(format_args!(
            "virtual servers by mark that still have connections: {left}; run this again once these have ended"
        )));
    }
    Ok(())
}

/// Looks for it. Blocks.
pub(crate) fn find() -> Result<Found, String> {
    let mut found = Found::default();
    match Ipvs::connect().and_then(|mut ipvs| ipvs.services()) {
        Ok(services) => found.virtual_servers = services.len(),
        Err(meshlite_ipvs::Error::NotSupported(_)) => {}
        Err(error) => return Err(error.to_string()),
    }
    let network = || -> Result<_, crate::host::HostError> {
        let mut network = Network::connect()?;
        let link = network.link(LINK)?;
        Ok((link, network.addresses()?, network.local_routes()?))
    };
    let (link, addresses, routes) = network().map_err(|error| error.to_string())?;
    if let Some(link) = link {
        found.has_link = true;
        let of_link = addresses
            .iter()
            .filter(|address| address.link == link.index);
        found.addresses = of_link.map(|address| address.address).collect();
    }
    found.routes = routes;
    match Nftables::connect().and_then(|mut nftables| nftables.tables()) {
        Ok(tables) => {
            let ours = rules::name::table();
            found.has_table = tables.iter().any(|entry| entry.table.key == ours);
        }
        Err(meshlite_nft::Error::NotSupported(_)) => {}
        Err(error) => return Err(error.to_string()),
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{
        LOOPBACK,
        testing::{in_namespace, ip, run},
    };

    /// All that a host has of what we might have.
    fn everything() -> String {
        let rules = run("nft", &["-s", "list", "ruleset"]);
        let links = ip("-o link show");
        let addresses = ip("-o address show");
        let routes = ip("route show table all") + &ip("-6 route show table all");
        [rules, links, addresses, routes].join("\n---\n")
    }

    fn said() -> Vec<String> {
        let notices = cleanup(false);
        assert!(!notices.iter().any(|n| n.is_failure), "{notices:?}");
        notices.into_iter().map(|notice| notice.text).collect()
    }

    #[test]
    fn all_of_ours_goes_and_all_of_others_stays() {
        in_namespace(|| {
            run(
                "nft",
                &["table inet firewall {
                     chain forward { type filter hook forward priority 0; policy drop; tcp dport 22 accept; }
                   }
                   table ip meshlite { }
                   table inet meshlite-other { }"],
            );
            ip("link add kube-ipvs0 type bridge");
            ip("addr add 10.96.0.99/32 dev kube-ipvs0");
            ip("addr add 192.0.2.1/24 dev lo");
            ip("route add local 10.97.0.0/24 dev lo");
            ip("-6 route add local fd00:97::1 dev lo");
            let before = everything();
            assert_eq!(said(), ["nothing of Meshlite is on this host"]);

            run(
                "nft",
                &["table inet meshlite { set cluster-ips { type ipv4_addr; }; }"],
            );
            let mut nftables = Nftables::connect().unwrap();
            let drops = firewalls::forward_drops(&mut nftables).unwrap();
            assert_eq!(firewalls::open(&mut nftables, &drops).unwrap().len(), 1);
            let ours = ["10.96.0.1", "10.97.0.1", "fd00:96::1"].map(|a| a.parse().unwrap());
            let mut network = Network::connect().unwrap();
            assert!(
                network
                    .add_local_routes(LOOPBACK, &ours)
                    .unwrap()
                    .is_empty()
            );

            let expected = [
                "removed the accept for Services at the end of chain forward of table inet firewall",
                "removed local route: 3",
                "removed table inet meshlite",
            ];
            assert_eq!(said(), expected);
            assert_eq!(everything(), before);
            assert_eq!(said(), ["nothing of Meshlite is on this host"]);
        });
    }
}
