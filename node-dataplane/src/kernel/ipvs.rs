//! IPVS: virtual servers in the kernel, at addresses of this host.
//!
//! ```text
//!                ┌─ what changes at addresses ─────────────────────────> IPVS
//! Steps ─> Batch ┼─ what packets with marks get (sharing, marking) ────> IPVS
//!                └─ helping rules, marks ──> rules (nft)    addresses ─> kube-ipvs0 | local routes
//! Observed <─ read <─ virtual servers, real servers, rules, addresses
//! ```
//!
//! Virtual servers that arrive in numbers pass two threads: while a [sender] tells IPVS of some, the rules that
//! help the next are made. For each of them the order stays the same: rules, virtual server, address.
//!
//! Each place of a Service is a virtual server of its own, so that `ipvsadm -Ln` shows what kube-proxy's shows. Clients
//! inside that get other real servers than everyone, and affinity over several addresses, take virtual servers by mark
//! besides. What is ours is known by the helping rules, by the addresses that are bound for Services, and by the numbers
//! of marks: so a new run goes on with what is there, by edits.

mod backend;
mod batch;
mod binding;
mod door;
mod edits;
mod helpers;
mod leftovers;
mod mark;
mod marking;
mod probe;
mod programmed;
mod read;
mod retiring;
mod sender;
mod servers;
mod sharing;
#[cfg(test)]
pub(crate) mod tests;
mod value;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use meshlite_ipvs::{Change, Timeouts};
use meshlite_snapshot::Protocol;
use tokio::sync::oneshot;
use tracing::debug;

use self::{backend::Backend, door::Door, helpers::Helpers, sender::Sender};
pub(crate) use self::{
    binding::LINK,
    leftovers::{Leftovers, hand_over, remove},
};
use super::{Begun, Capabilities, Kernel, KernelError, worker::Worker};
use crate::{
    Config,
    config::VipBinding,
    plan::Step,
    table::{Frontend, Key, Observed, Scheduler},
};

/// What IPVS is told.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How virtual addresses come to be this host's.
    pub(crate) vip_binding: VipBinding,
    /// Virtual servers at these are left alone, unless they are ours.
    pub(crate) exclude_cidrs: Vec<IpNet>,
    /// How long idle connections are kept, in seconds; 0 for what the kernel has.
    pub(crate) timeouts: Timeouts,
    /// How long what is not wanted any more keeps its connections at most.
    pub(crate) drain_timeout: Duration,
}

/// So many quick steps are made in less time than another thread takes to wake.
const FEW: usize = 16;

/// IPVS of the network namespace of the thread that made this.
#[derive(Debug)]
pub(crate) struct Ipvs {
    worker: Worker<Backend<meshlite_ipvs::Ipvs>>,
    /// Tells IPVS of virtual servers while the worker prepares the next.
    sender: Worker<Sender>,
    /// Those that it was found to have.
    schedulers: Vec<Scheduler>,
}

// === impl Options ===

impl Options {
    fn excludes(&self, frontend: &Frontend) -> bool {
        let ip = frontend.address.ip();
        self.exclude_cidrs.iter().any(|range| range.contains(&ip))
    }
}

impl From<&Config> for Options {
    fn from(config: &Config) -> Self {
        let seconds = |timeout: Option<Duration>| {
            let seconds = timeout.unwrap_or_default().as_secs();
            u32::try_from(seconds).unwrap_or(u32::MAX)
        };
        Self {
            vip_binding: config.vip_binding,
            exclude_cidrs: config.exclude_cidrs.clone(),
            timeouts: Timeouts {
                tcp: seconds(config.tcp_timeout),
                tcp_fin: seconds(config.tcp_fin_timeout),
                udp: seconds(config.udp_timeout),
            },
            drain_timeout: config.drain_timeout,
        }
    }
}

// === impl Ipvs ===

impl Ipvs {
    /// Starts the threads that program it, which was [found to work](usable) and to have these schedulers. Its timeouts are
    /// set; nothing else is read or changed yet.
    pub(crate) fn start(options: Options, schedulers: Vec<Scheduler>) -> Result<Self, KernelError> {
        let backend = || {
            let mut backend = Backend::new(options)?;
            backend.set_timeouts()?;
            Ok(backend)
        };
        Ok(Self {
            worker: Worker::start("ipvs", backend)?,
            sender: Worker::start("ipvs-sender", || Ok(Sender::default()))?,
            schedulers,
        })
    }

    /// Does it on the thread of its own, or here where it is quick.
    async fn run<R: Send + 'static>(
        &self,
        is_quick: bool,
        job: impl FnOnce(&mut Backend<meshlite_ipvs::Ipvs>) -> Result<R, KernelError> + Send + 'static,
    ) -> Result<R, KernelError> {
        if is_quick {
            self.worker.run_here(job).await?
        } else {
            self.worker.run(job).await?
        }
    }
}

impl Kernel for Ipvs {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "ipvs",
            protocols: vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
            schedulers: self.schedulers.clone(),
            every_node_address: Vec::new(),
            is_atomic: false,
            needs_drains: true,
        }
    }

    async fn read(&mut self) -> Result<Observed, KernelError> {
        self.run(false, Backend::read).await
    }

    async fn apply(&mut self, steps: &[Step]) -> Vec<Result<(), KernelError>> {
        let (count, steps) = (steps.len(), steps.to_vec());
        let is_quick = count <= FEW && steps.iter().all(is_quick);
        let job = move |backend: &mut Backend<_>| Ok(backend.apply(&steps));
        match self.run(is_quick, job).await {
            Ok(results) => results,
            Err(error) => vec![Err(error); count],
        }
    }

    async fn begin(&mut self, steps: Vec<Step>) -> Begun {
        if steps.len() <= FEW {
            let results = self.apply(&steps).await;
            return Begun::done(steps.into(), results);
        }
        let (reply, results) = oneshot::channel();
        let steps: Arc<[Step]> = steps.into();
        let (all, worker, sender) = (Arc::clone(&steps), self.worker.clone(), self.sender.clone());
        self.worker.post(move |backend| {
            let batch = backend.prepare(&all);
            sender.post(move |sender| {
                let told = sender.tell(batch.at_places());
                worker.post(move |backend| drop(reply.send(backend.complete(batch, told))));
            });
        });
        Begun::under_way(steps, results)
    }

    async fn tidy(&mut self) {
        if let Err(error) = self.run(false, Backend::tidy).await {
            debug!(%error, "what an interrupted run left cannot be taken away yet");
        }
    }

    async fn connections(&mut self, of: &[(Key, SocketAddr)]) -> Result<Vec<u64>, KernelError> {
        let of = of.to_vec();
        self.run(of.len() <= FEW, move |backend| backend.connections(&of))
            .await
    }
}

/// Whether the kernel makes it at once, without a look at all connections or a wait for all processors.
fn is_quick(step: &Step) -> bool {
    let is_tcp = |key: &Key| key.frontend.protocol == Protocol::Tcp;
    match step {
        Step::AddRealServer { key, .. }
        | Step::EditRealServer { key, .. }
        | Step::DrainRealServer { key, .. }
        | Step::RemoveRealServer { key, .. } => is_tcp(key),
        Step::SetInside { .. }
        | Step::AddVirtualServer { .. }
        | Step::EditVirtualServer { .. }
        | Step::RemoveVirtualServer { .. } => false,
    }
}

/// Which schedulers IPVS has here, or why it does not work. Loads its modules, and tries virtual servers and the rules that
/// help.
pub(crate) fn usable(_: &Config) -> Result<Vec<Scheduler>, String> {
    // First, or there is no IPVS to connect to.
    let loaded = probe::load();
    let mut door = meshlite_ipvs::Ipvs::connect().map_err(|error| error.to_string())?;
    let tried = probe::trial(&mut door, &loaded);
    let helped = tried.and_then(|schedulers| Helpers::try_it().map(|()| schedulers));
    helped.map_err(|error| error.to_string())
}

impl<D: Door> Backend<D> {
    fn set_timeouts(&mut self) -> Result<(), KernelError> {
        let timeouts = self.options.timeouts;
        if timeouts == Timeouts::default() {
            return Ok(());
        }
        let failures = self.send(&[Change::SetTimeouts(timeouts)])?;
        match failures.into_iter().next() {
            None => Ok(()),
            Some(failure) => Err(value::error(&failure.error)),
        }
    }
}
