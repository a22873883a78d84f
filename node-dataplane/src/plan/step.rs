//! One change of the programmed table, and what it does.

use std::{
    collections::{BTreeSet, btree_map::Entry},
    fmt,
    net::SocketAddr,
    sync::Arc,
};

use ipnet::IpNet;

use crate::table::{
    Key, LocalDetector, Observed, ObservedServer, Origin, RealServer, Settings, VirtualServer,
};

/// One change of the programmed table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Says which clients are inside, and which of them are Pods.
    SetInside {
        networks: Arc<BTreeSet<IpNet>>,
        pods: LocalDetector,
    },
    /// Adds a virtual server with its real servers. Where one of these cannot be, it may be there with the others.
    AddVirtualServer { key: Key, server: VirtualServer },
    /// Adds a real server to a virtual server.
    AddRealServer {
        key: Key,
        address: SocketAddr,
        real: RealServer,
    },
    /// Changes how a virtual server behaves.
    EditVirtualServer {
        key: Key,
        origin: Origin,
        settings: Settings,
    },
    /// Changes a real server, its weight above all; above 0 it also ends a drain.
    EditRealServer {
        key: Key,
        address: SocketAddr,
        real: RealServer,
    },
    /// Sends no new connections to a real server and leaves it those that it has.
    DrainRealServer { key: Key, address: SocketAddr },
    /// Takes a real server out and ends what connections it has.
    RemoveRealServer { key: Key, address: SocketAddr },
    /// Takes a virtual server out with what is left of it.
    RemoveVirtualServer { key: Key },
}

/// A step that a table does not allow: what it is about is not there, or is there already.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {0}: the table is another one")]
pub(crate) struct Mismatch(String);

/// When a step comes, whatever it is about: nothing is taken away before what replaces it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Add,
    Switch,
    Drain,
    Remove,
}

// === impl Step ===

impl Step {
    /// The virtual server that it is about; none if it is about all of them.
    pub(crate) const fn key(&self) -> Option<&Key> {
        match self {
            Self::SetInside { .. } => None,
            Self::AddVirtualServer { key, .. }
            | Self::AddRealServer { key, .. }
            | Self::EditVirtualServer { key, .. }
            | Self::EditRealServer { key, .. }
            | Self::DrainRealServer { key, .. }
            | Self::RemoveRealServer { key, .. }
            | Self::RemoveVirtualServer { key } => Some(key),
        }
    }

    /// The weight that a real server has after it; 0 where it is none's.
    pub(crate) const fn weight(&self) -> u16 {
        match self {
            Self::AddRealServer { real, .. } | Self::EditRealServer { real, .. } => real.weight,
            Self::SetInside { .. }
            | Self::AddVirtualServer { .. }
            | Self::EditVirtualServer { .. }
            | Self::DrainRealServer { .. }
            | Self::RemoveRealServer { .. }
            | Self::RemoveVirtualServer { .. } => 0,
        }
    }

    /// When it comes.
    pub(crate) const fn phase(&self) -> Phase {
        match self {
            Self::SetInside { .. } | Self::AddVirtualServer { .. } | Self::AddRealServer { .. } => {
                Phase::Add
            }
            Self::EditRealServer {
                real: RealServer { weight: 0, .. },
                ..
            }
            | Self::DrainRealServer { .. } => Phase::Drain,
            Self::EditVirtualServer { .. } | Self::EditRealServer { .. } => Phase::Switch,
            Self::RemoveRealServer { .. } | Self::RemoveVirtualServer { .. } => Phase::Remove,
        }
    }
}

impl Step {
    /// Does to a table what it does to the table of a kernel.
    pub(crate) fn apply_to(&self, table: &mut Observed) -> Result<(), Mismatch> {
        let servers = &mut table.virtual_servers;
        let mismatch = || Mismatch(self.to_string());
        match self {
            Self::SetInside { networks, pods } => {
                table.inside = Arc::clone(networks);
                table.pods = pods.clone();
            }
            Self::AddVirtualServer { key, server } => {
                let Entry::Vacant(place) = servers.entry(*key) else {
                    return Err(mismatch());
                };
                place.insert(ObservedServer::new(server));
            }
            Self::EditVirtualServer {
                key,
                origin,
                settings,
            } => {
                let server = servers.get_mut(key).ok_or_else(mismatch)?;
                server.origin = Some(origin.clone());
                server.settings = settings.clone();
            }
            Self::AddRealServer { key, address, real } => {
                let server = servers.get_mut(key).ok_or_else(mismatch)?;
                if !server.real_servers.add(*address, *real) {
                    return Err(mismatch());
                }
            }
            Self::EditRealServer { key, address, .. } | Self::DrainRealServer { key, address } => {
                let server = servers.get_mut(key).ok_or_else(mismatch)?;
                let found = server.real_servers.get_mut(*address).ok_or_else(mismatch)?;
                found.weight = self.weight();
                if let Self::EditRealServer { real, .. } = self {
                    found.is_local = real.is_local;
                }
            }
            Self::RemoveRealServer { key, address } => {
                let server = servers.get_mut(key).ok_or_else(mismatch)?;
                server.real_servers.remove(*address).ok_or_else(mismatch)?;
                server.connections.remove(address);
            }
            Self::RemoveVirtualServer { key } => {
                servers.remove(key).ok_or_else(mismatch)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetInside { networks, .. } => {
                write!(f, "set inside: {} networks", networks.len())
            }
            Self::AddVirtualServer { key, server } => {
                let (scheduler, name) = (server.settings.scheduler, &server.origin.service_port);
                write!(f, "add virtual server {key} {scheduler} ({name})")?;
                let mut before = " ->";
                for (address, real) in &server.real_servers {
                    write!(f, "{before} {address} weight {}", real.weight)?;
                    before = ",";
                }
                Ok(())
            }
            Self::AddRealServer { key, address, real } => {
                write!(
                    f,
                    "add real server {key} -> {address} weight {}",
                    real.weight
                )
            }
            Self::EditVirtualServer {
                key,
                origin,
                settings,
            } => {
                write!(
                    f,
                    "edit virtual server {key} {} ({})",
                    settings.scheduler, origin.service_port
                )
            }
            Self::EditRealServer { key, address, real } => {
                write!(
                    f,
                    "edit real server {key} -> {address} weight {}",
                    real.weight
                )
            }
            Self::DrainRealServer { key, address } => {
                write!(f, "drain real server {key} -> {address}")
            }
            Self::RemoveRealServer { key, address } => {
                write!(f, "remove real server {key} -> {address}")
            }
            Self::RemoveVirtualServer { key } => write!(f, "remove virtual server {key}"),
        }
    }
}
