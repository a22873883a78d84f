//! Takes everything of ours off a host, and nothing else. It needs no control plane, and may be done again.
//!
//! ```text
//! what is there ─> foreign chains' rules of ours, local routes, the nft table ─> what is there ─> Notice for each difference
//! ```
//!
//! Each backend knows what is its own and removes it. What is said is what is gone then: it is looked at before and after.
//! Sysctls and modules stay, as others may have come to need them.

use std::{collections::BTreeSet, net::IpAddr};

use meshlite_nft::{Error, Nftables};

use crate::{
    Notice,
    host::{HostError, Network, firewalls},
    kernel::rules,
};

/// Removes it all, and says each. Blocks. What cannot be removed is a failure, and keeps nothing else from being removed.
pub fn cleanup() -> Vec<Notice> {
    let mut notices = Vec::new();
    for part in [forwarding, routes, table] {
        match part() {
            Ok(said) => notices.extend(said.into_iter().map(Notice::of)),
            Err(error) => notices.push(Notice::failure(error)),
        }
    }
    if notices.is_empty() {
        notices.push(Notice::of("nothing of Meshlite is on this host"));
    }
    notices
}

/// Our answers to other people's firewalls.
fn forwarding() -> Result<Vec<String>, String> {
    let mut nftables = match Nftables::connect() {
        Ok(nftables) => nftables,
        Err(Error::NotSupported(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let closed = firewalls::close(&mut nftables).map_err(|error| error.to_string())?;
    let said = |chain: &meshlite_nft::ChainKey| {
        let table = &chain.table;
        let chain = &chain.name;
        format!(
            "removed the accept for Services at the end of chain {chain} of table {} {}",
            table.family, table.name
        )
    };
    Ok(closed.iter().map(said).collect())
}

/// Our `local` routes.
fn routes() -> Result<Vec<String>, String> {
    let remove = || -> Result<BTreeSet<IpAddr>, HostError> {
        let mut network = Network::connect()?;
        let ours = network.local_routes()?;
        let all: Vec<_> = ours.iter().copied().collect();
        let undone = network.remove_local_routes(&all)?;
        match undone.into_iter().next() {
            Some(undone) => Err(undone.error),
            None => Ok(ours),
        }
    };
    let removed = remove().map_err(|error| format!("local routes cannot be removed: {error}"))?;
    Ok(counted(removed.len(), "local route"))
}

/// Our table of rules.
fn table() -> Result<Vec<String>, String> {
    match rules::remove() {
        Ok(true) => Ok(vec!["removed table inet meshlite".to_owned()]),
        Ok(false) => Ok(Vec::new()),
        Err(error) => Err(format!("table inet meshlite cannot be removed: {error}")),
    }
}

/// That so many were removed, if any were.
fn counted(count: usize, what: &str) -> Vec<String> {
    match count {
        0 => Vec::new(),
        1 => vec![format!("removed 1 {what}")],
        _ => vec![format!("removed {count} {what}s")],
    }
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
        let notices = cleanup();
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
            assert_eq!(firewalls::open(&mut nftables, drops).unwrap().len(), 1);
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
                "removed 3 local routes",
                "removed table inet meshlite",
            ];
            assert_eq!(said(), expected);
            assert_eq!(everything(), before);
            assert_eq!(said(), ["nothing of Meshlite is on this host"]);
        });
    }
}
