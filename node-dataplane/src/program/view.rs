//! What is programmed, as `/virtualservers` shows it.

use std::net::SocketAddr;

use ipnet::IpNet;
use meshlite_snapshot::{Finding, Protocol};
use serde::Serialize;

use crate::{
    desired::Desired,
    table::{
        Audience, Key, Masquerade, Observed, ObservedServer, Origin, Owner, Scheduler, Settings,
        VirtualServer, WhenEmpty,
    },
};

/// The table that is programmed, and what is wrong with it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct View {
    mode: &'static str,
    generation: u64,
    virtual_servers: Vec<Row>,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// `address:port`, as clients should connect.
    address: SocketAddr,
    protocol: Protocol,
    audience: Audience,
    #[serde(flatten)]
    origin: Origin,
    /// Whether it is there.
    programmed: bool,
    /// Where it really listens; null for a kernel without sockets and where it could not be bound.
    bound: Option<SocketAddr>,
    scheduler: Scheduler,
    persistent_seconds: Option<u32>,
    source_ranges: Vec<IpNet>,
    when_empty: WhenEmpty,
    masquerade: Masquerade,
    real_servers: Vec<RealRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RealRow {
    address: SocketAddr,
    weight: u16,
    /// On this node.
    is_local: bool,
    connections: u64,
    /// Keeps its connections and gets no new ones, because it is not wanted any more.
    draining: bool,
}

impl View {
    pub(super) fn new(
        mode: &'static str,
        generation: u64,
        desired: &Desired,
        observed: &Observed,
        findings: Vec<Finding>,
    ) -> Self {
        let wanted = &desired.table().virtual_servers;
        let found = &observed.virtual_servers;
        let ours = found
            .iter()
            .filter(|(_, server)| server.owner == Owner::Ours)
            .filter_map(|(key, server)| Row::programmed(key, server, wanted.get(key)));
        let missing = wanted
            .iter()
            .filter(|(key, _)| found.get(key).is_none_or(|s| s.owner == Owner::Foreign))
            .map(|(key, server)| Row::missing(key, server));
        let mut rows: Vec<_> = ours.chain(missing).collect();
        rows.sort_by_key(|row| (row.address, row.protocol, row.audience));
        Self {
            mode,
            generation,
            virtual_servers: rows,
            findings,
        }
    }
}

impl Row {
    /// None if nobody knows whose it is: an earlier process programmed it, and it will be gone when it has drained.
    fn programmed(
        key: &Key,
        server: &ObservedServer,
        wanted: Option<&VirtualServer>,
    ) -> Option<Self> {
        let origin = wanted
            .map(|server| &server.origin)
            .or(server.origin.as_ref())?;
        let is_wanted =
            |address| wanted.is_some_and(|server| server.real_servers.contains(address));
        let real_servers = server.real_servers.iter().map(|(address, real)| RealRow {
            address: *address,
            weight: real.weight,
            is_local: real.is_local,
            connections: server.connections(*address),
            draining: !is_wanted(*address),
        });
        Some(Self {
            programmed: true,
            bound: server.bound,
            ..Self::new(key, origin, &server.settings, real_servers.collect())
        })
    }

    fn missing(key: &Key, server: &VirtualServer) -> Self {
        let real_servers = server.real_servers.iter().map(|(address, real)| RealRow {
            address: *address,
            weight: real.weight,
            is_local: real.is_local,
            connections: 0,
            draining: false,
        });
        Self::new(
            key,
            &server.origin,
            &server.settings,
            real_servers.collect(),
        )
    }

    fn new(key: &Key, origin: &Origin, settings: &Settings, real_servers: Vec<RealRow>) -> Self {
        Self {
            address: key.frontend.socket_address(),
            protocol: key.frontend.protocol,
            audience: key.audience,
            origin: origin.clone(),
            programmed: false,
            bound: None,
            scheduler: settings.scheduler,
            persistent_seconds: settings.persistence,
            source_ranges: settings.source_ranges.iter().copied().collect(),
            when_empty: settings.when_empty,
            masquerade: settings.masquerade,
            real_servers,
        }
    }
}
