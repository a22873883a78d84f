//! `meshlite node sets`: the ipsets that kube-proxy would keep, the nft sets that have their place, and what is in them.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::Context;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    ask,
    config::SetsConfig,
    output::{self, Format, columns},
};

mod table;

use table::{Kind, Protocol, Server, Table};

/// Everything that is printed.
#[derive(Debug, Serialize)]
struct View {
    /// kube-proxy's sets.
    ipsets: Vec<IpSet>,
    /// Those of the nft table `inet meshlite`.
    nft: Vec<NftSet>,
}

/// One of kube-proxy's sets.
#[derive(Debug, Serialize)]
struct IpSet {
    name: &'static str,
    /// The nft sets that do its work.
    nft: Vec<String>,
    /// As `ipset list` would print them.
    members: Vec<String>,
}

/// A set as a node answers it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase"))]
struct NftSet {
    #[serde(rename(serialize = "name"))]
    ours: String,
    kube_proxy: String,
    purpose: String,
    members: Vec<String>,
}

/// Prints the sets of the node at a URL.
pub(crate) async fn run(config: SetsConfig) -> anyhow::Result<()> {
    let SetsConfig { url, format } = config;
    let table = read(&url, "/virtualservers").await?;
    let view = View::new(&table, read(&url, "/sets").await?);
    output::value(format, &view, || view.print(format))
}

async fn read<T: DeserializeOwned>(url: &str, path: &str) -> anyhow::Result<T> {
    let body = ask::admin(url, path).await?;
    serde_json::from_slice(&body)
        .with_context(|| format!("{url}{path} cannot be read; is this build older than the node?"))
}

/// What a set has of a virtual server.
type Members = fn(&Server) -> Vec<String>;

/// kube-proxy's sets, and which of a virtual server's addresses, ports or endpoints are in each.
const IPSETS: [(&str, Members); 11] = [
    ("KUBE-CLUSTER-IP", |it| {
        it.address_if(it.kind == Kind::ClusterIP)
    }),
    ("KUBE-LOOP-BACK", Server::hairpins),
    ("KUBE-EXTERNAL-IP", |it| {
        it.address_if(it.kind == Kind::ExternalIP)
    }),
    ("KUBE-LOAD-BALANCER", |it| it.address_if(it.is_balancer())),
    ("KUBE-LOAD-BALANCER-LOCAL", |it| {
        it.address_if(it.is_balancer() && it.is_local())
    }),
    ("KUBE-LOAD-BALANCER-FW", |it| {
        it.address_if(it.is_balancer() && !it.source_ranges.is_empty())
    }),
    ("KUBE-LOAD-BALANCER-SOURCE-CIDR", Server::ranges),
    ("KUBE-NODE-PORT-TCP", |it| {
        it.port_if(it.is_node_port(Protocol::Tcp))
    }),
    ("KUBE-NODE-PORT-LOCAL-TCP", |it| {
        it.port_if(it.is_node_port(Protocol::Tcp) && it.is_local())
    }),
    ("KUBE-NODE-PORT-UDP", |it| {
        it.port_if(it.is_node_port(Protocol::Udp))
    }),
    ("KUBE-NODE-PORT-LOCAL-UDP", |it| {
        it.port_if(it.is_node_port(Protocol::Udp) && it.is_local())
    }),
];

// === impl View ===

impl View {
    /// Of what is programmed, and only that.
    fn new(table: &Table, nft: Vec<NftSet>) -> Self {
        let programmed = || table.virtual_servers.iter().filter(|it| it.programmed);
        let ipset = |(name, members): (&'static str, Members)| IpSet {
            name,
            nft: nft
                .iter()
                .filter(|set| set.kube_proxy.split(", ").any(|it| it == name))
                .map(|set| set.ours.clone())
                .collect(),
            members: sorted(programmed().flat_map(members)),
        };
        Self {
            ipsets: IPSETS.into_iter().map(ipset).collect(),
            nft,
        }
    }

    /// A line for each member, with its set on the first. Wide are the nft sets that do the work of those too.
    fn print(&self, format: Format) -> String {
        let mut rows = Vec::new();
        for set in &self.ipsets {
            let heads = [set.name.to_owned(), set.nft.join(", ")];
            lines(&mut rows, &set.members, heads);
        }
        let ipsets = columns(["KUBE-PROXY", "MEMBERS", "NFT"], &rows);
        if format != Format::Wide {
            return ipsets;
        }
        rows.clear();
        for set in self.nft.iter().filter(|set| !set.kube_proxy.is_empty()) {
            let heads = [set.ours.clone(), set.purpose.clone()];
            lines(&mut rows, &set.members, heads);
        }
        format!(
            "{ipsets}\n{}",
            columns(["NFT", "MEMBERS", "PURPOSE"], &rows)
        )
    }
}

/// Each member in the middle, between what is said of its set on the first line.
fn lines(rows: &mut Vec<[String; 3]>, members: &[String], heads: [String; 2]) {
    let [mut name, mut last] = heads;
    let none = ["-".to_owned()];
    let members = if members.is_empty() { &none } else { members };
    for member in members {
        rows.push([
            std::mem::take(&mut name),
            member.clone(),
            std::mem::take(&mut last),
        ]);
    }
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

#[cfg(test)]
mod tests;
