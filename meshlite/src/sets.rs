//! `meshlite node sets`: the ipsets that kube-proxy would keep, the nft sets that have their place, and what is in them.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::Context;
use serde::Serialize;

use crate::{
    ask,
    config::SetsConfig,
    output::{self, Format, columns_for},
};

mod table;

use table::{Kind, Protocol, Server, Table};

/// One of kube-proxy's sets.
#[derive(Debug, Serialize)]
struct Set {
    name: &'static str,
    /// What has its place in the nft table `inet meshlite`.
    nft: &'static str,
    /// Which of the elements there.
    elements: &'static str,
    /// As `ipset list` would print them.
    members: Vec<String>,
}

/// Prints the sets of the node at a URL.
pub(crate) async fn run(config: SetsConfig) -> anyhow::Result<()> {
    let SetsConfig { url, format } = config;
    let body = ask::admin(&url, "/virtualservers").await?;
    let table: Table = serde_json::from_slice(&body)
        .with_context(|| format!("{url}/virtualservers cannot be read"))?;
    let sets = sets(&table);
    output::value(format, &sets, || print(&sets, format))
}

const FRONTENDS: &str = "frontends-ip, frontends-ip6";
const RANGES: &str = "ranges-ip, ranges-ip6";
const HAIRPINS: &str = "hairpins-ip, hairpins-ip6";

/// kube-proxy's sets, as far as the table says what is in them: what is programmed, and only that.
fn sets(table: &Table) -> Vec<Set> {
    let servers: Vec<_> = table
        .virtual_servers
        .iter()
        .filter(|s| s.programmed)
        .collect();
    let of = |name, nft, elements, members: &dyn Fn(&Server) -> Vec<String>| Set {
        name,
        nft,
        elements,
        members: sorted(servers.iter().flat_map(|server| members(server))),
    };
    let balancer = |server: &Server| server.kind == Kind::LoadBalancer;
    let guarded = |server: &Server| balancer(server) && !server.source_ranges.is_empty();
    let node_port = |name, elements, protocol, is_local: bool| {
        of(name, FRONTENDS, elements, &move |server| {
            let is_it = server.kind == Kind::NodePort && server.protocol == protocol;
            let is_it = is_it && (!is_local || server.is_local());
            if is_it {
                vec![server.address.port().to_string()]
            } else {
                Vec::new()
            }
        })
    };
    vec![
        of("KUBE-CLUSTER-IP", FRONTENDS, "cluster IPs", &|server| {
            server.address_if(server.kind == Kind::ClusterIP)
        }),
        of(
            "KUBE-LOOP-BACK",
            HAIRPINS,
            "endpoints on this node, twice",
            &Server::hairpins,
        ),
        of("KUBE-EXTERNAL-IP", FRONTENDS, "external IPs", &|server| {
            server.address_if(server.kind == Kind::ExternalIP)
        }),
        of(
            "KUBE-LOAD-BALANCER",
            FRONTENDS,
            "load balancers' addresses",
            &|server| server.address_if(balancer(server)),
        ),
        of(
            "KUBE-LOAD-BALANCER-LOCAL",
            FRONTENDS,
            "of those, with nobody masqueraded",
            &|server| server.address_if(balancer(server) && server.is_local()),
        ),
        of(
            "KUBE-LOAD-BALANCER-FW",
            FRONTENDS,
            "of those, with source ranges",
            &|server| server.address_if(guarded(server)),
        ),
        of(
            "KUBE-LOAD-BALANCER-SOURCE-CIDR",
            RANGES,
            "load balancers' addresses and who may connect there",
            &|server| {
                if balancer(server) {
                    server.ranges()
                } else {
                    Vec::new()
                }
            },
        ),
        node_port("KUBE-NODE-PORT-TCP", "TCP node ports", Protocol::Tcp, false),
        node_port(
            "KUBE-NODE-PORT-LOCAL-TCP",
            "of those, with nobody masqueraded",
            Protocol::Tcp,
            true,
        ),
        node_port("KUBE-NODE-PORT-UDP", "UDP node ports", Protocol::Udp, false),
        node_port(
            "KUBE-NODE-PORT-LOCAL-UDP",
            "of those, with nobody masqueraded",
            Protocol::Udp,
            true,
        ),
    ]
}

/// Each once: a virtual server may be there for each audience. IPv4 first, by number.
fn sorted(members: impl Iterator<Item = String>) -> Vec<String> {
    let key = |member: String| {
        let address = member.split(',').next().unwrap_or_default();
        let address = address.parse::<IpAddr>().ok();
        (address, member.parse::<u16>().ok(), member)
    };
    let members: BTreeSet<_> = members.map(key).collect();
    members.into_iter().map(|(.., member)| member).collect()
}

/// A line for each member, with its set's name on the first.
fn print(sets: &[Set], format: Format) -> String {
    let mut rows = Vec::new();
    for set in sets {
        let mut names = [set.name, set.nft, set.elements];
        let none = ["-".to_owned()];
        let members = if set.members.is_empty() {
            &none[..]
        } else {
            &set.members
        };
        for member in members {
            let [name, nft, elements] = names.map(str::to_owned);
            rows.push([name, member.clone(), nft, elements]);
            names = [""; 3];
        }
    }
    columns_for(
        format,
        3,
        ["KUBE-PROXY", "MEMBERS", "NFT", "ELEMENTS"],
        &rows,
    )
}

#[cfg(test)]
mod tests;
