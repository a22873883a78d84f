//! A kernel that carries no traffic: for `--dry-run`, and for tests, which can make it fail.

use std::{net::SocketAddr, sync::Arc};

use meshlite_snapshot::Protocol;

use super::{Capabilities, Kernel, KernelError};
use crate::{
    plan::Step,
    table::{Key, Observed, ObservedRealServer, ObservedServer, Owner, Scheduler},
};

/// A table in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// What is programmed. Tests change it behind the planner's back.
    pub(crate) observed: Observed,
    /// Every step that succeeded.
    #[cfg(test)]
    pub(crate) log: Vec<Step>,
    faults: Vec<(usize, KernelError)>,
    read_fault: Option<KernelError>,
    steps_seen: usize,
}

// === impl Memory ===

impl Memory {
    /// Lets the `n`-th step from now on fail, counted from 0.
    #[cfg(test)]
    pub(crate) fn fail_step(&mut self, n: usize, error: KernelError) {
        self.faults.push((self.steps_seen + n, error));
    }

    /// Lets the next read fail.
    #[cfg(test)]
    pub(crate) fn fail_read(&mut self, error: KernelError) {
        self.read_fault = Some(error);
    }

    fn apply_one(&mut self, step: &Step) -> Result<(), KernelError> {
        let number = self.steps_seen;
        self.steps_seen += 1;
        if let Some(at) = self.faults.iter().position(|(n, _)| *n == number) {
            return Err(self.faults.swap_remove(at).1);
        }
        self.change(step)?;
        #[cfg(test)]
        self.log.push(step.clone());
        Ok(())
    }

    fn change(&mut self, step: &Step) -> Result<(), KernelError> {
        let servers = &mut self.observed.virtual_servers;
        let missing = |what: &dyn std::fmt::Display| KernelError::Resync(format!("no {what}"));
        match step {
            Step::SetInside { networks, pods } => {
                self.observed.inside = Arc::clone(networks);
                self.observed.pods = pods.clone();
            }
            Step::AddVirtualServer {
                key,
                origin,
                settings,
            } => {
                if servers.contains_key(key) {
                    return Err(KernelError::Resync(format!("{key} is there already")));
                }
                let server = ObservedServer {
                    owner: Owner::Ours,
                    origin: Some(origin.clone()),
                    settings: settings.clone(),
                    real_servers: [].into(),
                    bound: None,
                };
                servers.insert(*key, server);
            }
            Step::EditVirtualServer {
                key,
                origin,
                settings,
            } => {
                let server = servers.get_mut(key).ok_or_else(|| missing(key))?;
                server.origin = Some(origin.clone());
                server.settings = settings.clone();
            }
            Step::AddRealServer { key, address, real } => {
                let server = servers.get_mut(key).ok_or_else(|| missing(key))?;
                if server.real_servers.contains_key(address) {
                    return Err(KernelError::Resync(format!("{address} is there already")));
                }
                let real = ObservedRealServer {
                    weight: real.weight,
                    is_local: real.is_local,
                    connections: 0,
                };
                server.real_servers.insert(*address, real);
            }
            Step::EditRealServer { key, address, .. } | Step::DrainRealServer { key, address } => {
                let server = servers.get_mut(key).ok_or_else(|| missing(key))?;
                let found = server.real_servers.get_mut(address);
                let found = found.ok_or_else(|| missing(address))?;
                found.weight = step.weight();
                if let Step::EditRealServer { real, .. } = step {
                    found.is_local = real.is_local;
                }
            }
            Step::RemoveRealServer { key, address } => {
                let server = servers.get_mut(key).ok_or_else(|| missing(key))?;
                let removed = server.real_servers.remove(address);
                removed.ok_or_else(|| missing(address))?;
            }
            Step::RemoveVirtualServer { key } => {
                servers.remove(key).ok_or_else(|| missing(key))?;
            }
        }
        Ok(())
    }
}

impl Kernel for Memory {
    async fn probe(&mut self) -> Result<Capabilities, KernelError> {
        Ok(Capabilities {
            name: "memory",
            protocols: vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
            schedulers: Scheduler::ALL.into(),
            every_node_address: vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
        })
    }

    async fn read(&mut self) -> Result<Observed, KernelError> {
        match self.read_fault.take() {
            Some(error) => Err(error),
            None => Ok(self.observed.clone()),
        }
    }

    async fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), KernelError>> {
        steps.iter().map(|step| self.apply_one(step)).collect()
    }

    async fn connections(&mut self, of: &[(Key, SocketAddr)]) -> Result<Vec<u64>, KernelError> {
        let servers = &self.observed.virtual_servers;
        let connections = |(key, address): &(Key, SocketAddr)| {
            let real = servers.get(key)?.real_servers.get(address)?;
            Some(real.connections)
        };
        Ok(of.iter().map(|one| connections(one).unwrap_or(0)).collect())
    }
}
