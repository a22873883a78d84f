//! A kernel that carries no traffic: for `--dry-run`, and for tests, which can make it fail.

use std::net::SocketAddr;

use meshlite_snapshot::Protocol;

use super::{Capabilities, Kernel, KernelError};
use crate::{
    plan::Step,
    table::{Key, Observed, Scheduler},
};

/// A table in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// What is programmed. Tests change it behind the planner's back.
    pub(crate) observed: Observed,
    /// Every step that succeeded.
    #[cfg(test)]
    pub(crate) log: Vec<Step>,
    /// How many steps each call had.
    #[cfg(test)]
    pub(crate) calls: Vec<usize>,
    /// How many calls there were before it was asked to tidy up, each time.
    #[cfg(test)]
    pub(crate) tidied: Vec<usize>,
    /// How many real servers' connections were asked for, each time.
    #[cfg(test)]
    pub(crate) counted: Vec<usize>,
    /// Nobody has changed it behind the planner's back, and it knows.
    #[cfg(test)]
    pub(crate) is_as_left: bool,
    faults: Vec<(usize, KernelError)>,
    read_fault: Option<KernelError>,
    steps_seen: usize,
    /// Each so many steps one fails.
    #[cfg(test)]
    pub(crate) fails_every: Option<(usize, KernelError)>,
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
        #[cfg(test)]
        if let Some((n, error)) = &self.fails_every
            && self.steps_seen.is_multiple_of(*n)
        {
            return Err(error.clone());
        }
        step.apply_to(&mut self.observed)
            .map_err(|mismatch| KernelError::Resync(mismatch.to_string()))?;
        #[cfg(test)]
        self.log.push(step.clone());
        Ok(())
    }
}

impl Kernel for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "memory",
            protocols: vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
            schedulers: Scheduler::ALL.into(),
            every_node_address: vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
            is_atomic: false,
            needs_drains: true,
        }
    }

    async fn read(&mut self) -> Result<Observed, KernelError> {
        match self.read_fault.take() {
            Some(error) => Err(error),
            None => Ok(self.observed.clone()),
        }
    }

    #[cfg(test)]
    async fn is_as_left(&mut self) -> bool {
        self.is_as_left
    }

    async fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), KernelError>> {
        #[cfg(test)]
        self.calls.push(steps.len());
        steps.iter().map(|step| self.apply_one(step)).collect()
    }

    #[cfg(test)]
    async fn tidy(&mut self) {
        self.tidied.push(self.calls.len());
    }

    async fn connections(&mut self, of: &[(Key, SocketAddr)]) -> Result<Vec<u64>, KernelError> {
        #[cfg(test)]
        self.counted.push(of.len());
        let servers = &self.observed.virtual_servers;
        let connections =
            |(key, address): &(Key, SocketAddr)| Some(servers.get(key)?.connections(*address));
        Ok(of.iter().map(|one| connections(one).unwrap_or(0)).collect())
    }
}
