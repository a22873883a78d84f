//! Who else balances Services here, what they left, and whose firewall is in the way.

use std::collections::BTreeSet;

use meshlite_nft::ChainKey;

use super::{Finding, facts::Facts};
use crate::{
    Config, cleanup::Found, host::firewalls::ForwardDrop, host::processes::Process, mode::Backend,
};

/// Programs that balance Services, or may: what they do, and what to do about them.
const PROXIES: [(&str, &str, &str); 6] = [
    (
        "cilium-agent",
        "with its kubeProxyReplacement it takes connections to Services before any table of the kernel sees them",
        "set kubeProxyReplacement=false in Cilium's configuration",
    ),
    (
        "kube-router",
        "it balances Services with IPVS unless it was told not to",
        "start it with --run-service-proxy=false",
    ),
    (
        "antrea-agent",
        "AntreaProxy takes connections of Pods to Services before any table of the kernel sees them",
        "set antreaProxy.enable=false in Antrea's configuration",
    ),
    (
        "k3s-server",
        "it has kube-proxy in it unless it was told not to",
        "start it with --disable-kube-proxy",
    ),
    (
        "k3s-agent",
        "it has kube-proxy in it unless k3s's server was told not to",
        "start the server with --disable-kube-proxy",
    ),
    (
        "keepalived",
        "it may have virtual servers of its own in IPVS",
        "in mode ipvs, name their addresses in --ipvs-exclude-cidrs",
    ),
];
/// What of kube-proxy's chains in iptables has a rule for each Service. The kubelet makes others.
const IPTABLES_CHAIN: &str = "KUBE-SERVICES";
/// The table of kube-proxy's nftables mode, in either family.
const NFT_TABLE: &str = "kube-proxy";

pub(super) fn findings(facts: &Facts, config: &Config) -> Vec<Finding> {
    let backend = facts.choice.as_ref().ok().map(|choice| choice.backend);
    let mut findings = kube_proxy(&facts.processes);
    findings.extend(proxies(&facts.processes));
    findings.push(match &facts.chains {
        Err(error) => Finding::unread("tables", error),
        Ok(chains) => tables(chains),
    });
    findings.extend(legacy(&facts.legacy_tables));
    findings.push(match &facts.state {
        Err(error) => Finding::unread("virtual servers", error),
        Ok(found) => virtual_servers(found, backend),
    });
    // What this process forwards itself passes no such chain.
    if !matches!(backend, Some(Backend::Userspace | Backend::Memory)) {
        findings.extend(match &facts.forward_drops {
            Err(error) => vec![Finding::unread("firewall", error)],
            Ok(drops) => firewalls(drops, config.open_forward),
        });
    }
    findings
}

fn kube_proxy(processes: &[Process]) -> Vec<Finding> {
    let running = processes.iter().filter(|it| it.name == "kube-proxy");
    let finding = |process: &Process| {
        Finding::failure(
            "kube-proxy",
            format!("{process} runs: both would program this node"),
            "keep it away from this node, by a label and its DaemonSet's node affinity; what it programmed serves on \
             meanwhile. deploy/README.md has the steps, and those back",
        )
    };
    running.map(finding).collect()
}

fn proxies(processes: &[Process]) -> Vec<Finding> {
    let finding = |process: &Process| {
        let (_, what, todo) = PROXIES.iter().find(|known| known.0 == process.name)?;
        Some(Finding::warning(
            "proxies",
            format!("{process} runs: {what}"),
            *todo,
        ))
    };
    processes.iter().filter_map(finding).collect()
}

/// What kube-proxy left in nftables, or in the iptables that is made of it.
fn tables(chains: &[ChainKey]) -> Finding {
    let is_its = |key: &&ChainKey| {
        key.name.as_str() == IPTABLES_CHAIN || key.table.name.as_str() == NFT_TABLE
    };
    let tables: BTreeSet<_> = chains
        .iter()
        .filter(is_its)
        .map(|key| format!("{} {}", key.table.family, key.table.name))
        .collect();
    if tables.is_empty() {
        return Finding::ok("tables", "none of kube-proxy's rules are here");
    }
    let tables: Vec<_> = tables.into_iter().collect();
    Finding::warning(
        "tables",
        format!(
            "rules of kube-proxy are in {}: they serve until its endpoints are gone, before Meshlite's",
            tables.join(", ")
        ),
        "once Meshlite serves on this node, run `kube-proxy --cleanup` on it",
    )
}

/// Nothing but its own program can list it.
fn legacy(tables: &[String]) -> Option<Finding> {
    if tables.is_empty() {
        return None;
    }
    let found = format!(
        "iptables of before nftables has tables here, which cannot be listed: {}",
        tables.join(", ")
    );
    let todo = "`iptables-legacy-save | grep -e KUBE-SERVICES -e ':FORWARD DROP'` shows whether kube-proxy's rules are \
                there (`kube-proxy --cleanup` removes them), or a policy that drops what is forwarded";
    Some(Finding::warning("legacy iptables", found, todo))
}

fn virtual_servers(found: &Found, backend: Option<Backend>) -> Finding {
    let check = "virtual servers";
    let Found {
        virtual_servers,
        addresses,
        has_table,
        ..
    } = found;
    let there = format!(
        "{virtual_servers} in IPVS, {} addresses on kube-ipvs0",
        addresses.len()
    );
    match (has_table, virtual_servers + addresses.len()) {
        (true, _) => Finding::ok(check, format!("{there}; table inet meshlite is here")),
        (false, 0) => Finding::ok(check, "none in IPVS"),
        (false, _) => {
            let todo = if backend == Some(Backend::Ipvs) {
                "nothing, where they are kube-proxy's: what Services have is taken over with its connections, the rest is \
                 left alone. Those at node addresses that are somebody else's: name them in --ipvs-exclude-cidrs"
            } else {
                "once Meshlite serves on this node, run `kube-proxy --cleanup` on it: until then the kernel balances \
                 them as kube-proxy left them"
            };
            Finding::warning(check, format!("{there}, none of them Meshlite's"), todo)
        }
    }
}

fn firewalls(drops: &[ForwardDrop], open_forward: bool) -> Vec<Finding> {
    let check = "firewall";
    if drops.is_empty() {
        return vec![Finding::ok(check, "no chain drops what is forwarded")];
    }
    let finding = |drop: &ForwardDrop| {
        if drop.is_open || open_forward {
            return Finding::ok(
                check,
                format!("{}; --open-forward has it accept Services", drop.found()),
            );
        }
        Finding::warning(check, drop.found(), ForwardDrop::TODO)
    };
    drops.iter().map(finding).collect()
}
