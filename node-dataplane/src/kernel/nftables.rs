//! nftables as a kernel of virtual servers: flat maps, one transaction for each apply (after one of chains that are new, where
//! there are any), nothing listens.
//!
//! ```text
//! prerouting, output −100 ──> balance-ip ── servers: place → number ── ways: number → chain
//!   any-ip-K ───── slots: place . random mod K → endpoint ──────────────────────────────> destination NAT
//!   same-ip-K-S ── groups: place → Service port, clients: Service port . client → number ┐
//!                  or choices: place . random mod K → number, kept for S seconds ────────┴ members: place . number
//!                                                                                            → endpoint ──> NAT
//!   checked-… ──── check-ip ── if from inside: servers-inside, ways-inside; then drop, refuse, guard; then as above
//!   none ───────── vips ── closed-ip: all that again, then ports are refused, pings answered
//!                  to this node ── node-ports-ip: all that again, then the same for node ports
//! ```
//!
//! A first packet of a plain virtual server is looked up three times here, and four times more when it leaves: whose
//! source address is replaced. One whose number says `checked` may be for some clients only, or another for those inside.
//!
//! There is a chain for each distinct number of slots, not for each Service: what grows are maps. The rest of the table
//! is in [`rules`](super::rules). Established connections are the connection tracking's: they need no real server any
//! more, so none are counted, and a removed real server keeps them.
//!
//! Virtual addresses are nobody's: translated before routing, they need no address and no route of this host. Echo
//! requests to them are redirected to this host, which answers.

mod balanced;
mod draft;
mod maps;
mod slots;
#[cfg(test)]
mod tests;
mod way;

use std::{net::SocketAddr, sync::Arc};

use meshlite_snapshot::Protocol;

use self::{balanced::Balanced, draft::Draft, way::Way};
use super::{
    Capabilities, Kernel, KernelError,
    rules::{Entry as _, Helper, Listed, Rules, list},
    worker::Worker,
};
use crate::{
    Config,
    plan::Step,
    table::{Key, Observed, Scheduler},
};

/// So many steps are made in less time than another thread takes to wake.
const FEW: usize = 16;

/// nftables of the network namespace in which it was made.
#[derive(Debug)]
pub(crate) struct Nftables {
    worker: Worker<Rules<Balanced>>,
}

impl Nftables {
    /// Starts its thread. Nothing is read or changed yet.
    pub(crate) fn start() -> Result<Self, KernelError> {
        let worker = Worker::start("nftables", Rules::connect)?;
        Ok(Self { worker })
    }

    /// Does it on the thread of its own, or here where it is quick.
    async fn run<R: Send + 'static>(
        &self,
        is_quick: bool,
        job: impl FnOnce(&mut Rules<Balanced>) -> Result<R, KernelError> + Send + 'static,
    ) -> Result<R, KernelError> {
        if is_quick {
            self.worker.run_here(job).await?
        } else {
            self.worker.run(job).await?
        }
    }
}

impl Kernel for Nftables {
    fn capabilities(&self) -> Capabilities {
        let protocols = vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        Capabilities {
            name: "nftables",
            every_node_address: protocols.clone(),
            protocols,
            schedulers: vec![Scheduler::Rr, Scheduler::Wrr],
            is_atomic: true,
            needs_drains: false,
        }
    }

    async fn read(&mut self) -> Result<Observed, KernelError> {
        self.run(false, |rules| {
            rules.read()?;
            Ok(observe(rules))
        })
        .await
    }

    async fn is_as_left(&mut self) -> bool {
        let asked = self.run(true, |rules| Ok(rules.is_as_left())).await;
        asked.unwrap_or(false)
    }

    async fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), KernelError>> {
        let (count, is_quick) = (steps.len(), steps.len() <= FEW);
        let steps = steps.to_vec();
        let job = move |rules: &mut Rules<Balanced>| Ok(apply(rules, &steps));
        match self.run(is_quick, job).await {
            Ok(results) => results,
            Err(error) => vec![Err(error); count],
        }
    }

    async fn connections(&mut self, of: &[(Key, SocketAddr)]) -> Result<Vec<u64>, KernelError> {
        Ok(vec![0; of.len()])
    }
}

/// Why it cannot be used here: makes a table with all rules, in one transaction that takes it away again.
pub(crate) fn usable(_: &Config) -> Result<(), String> {
    Rules::<Balanced>::try_it(&Way::SAMPLES).map_err(|error| error.to_string())
}

/// The sets of the table, of whichever backend.
pub(crate) fn sets() -> Result<Vec<Listed>, KernelError> {
    list(&[maps::SHAPES, Helper::SHAPES])
}

fn observe(rules: &Rules<Balanced>) -> Observed {
    let clients = rules.clients();
    Observed {
        inside: Arc::clone(&clients.inside),
        pods: clients.pods.clone(),
        virtual_servers: rules
            .entries()
            .iter()
            .map(|(key, entry)| (*key, entry.observed()))
            .collect(),
        is_carried_elsewhere: false,
    }
}

fn apply(rules: &mut Rules<Balanced>, steps: &[Step]) -> Vec<Result<(), KernelError>> {
    let mut draft = Draft::new(rules.entries(), rules.clients());
    let mut results: Vec<_> = steps.iter().map(|step| draft.step(step)).collect();
    let (clients, changes) = draft.finish();
    let outcome = rules.apply(clients, changes);
    for (step, result) in steps.iter().zip(&mut results) {
        let error = match step.key() {
            Some(key) => outcome.failed.get(key),
            None => outcome.clients.as_ref(),
        };
        if let (Ok(()), Some(error)) = (&result, error) {
            *result = Err(error.clone());
        }
    }
    results
}
