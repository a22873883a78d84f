//! What programs virtual servers, in our own words.
//!
//! A kernel is read as a whole, and changed by steps that a plan has put in order. It makes no choices: what it cannot
//! do it says, for each step, as what to do next.

mod begun;
pub(crate) mod ipvs;
pub(crate) mod localhost;
pub(crate) mod memory;
pub(crate) mod nftables;
pub(crate) mod print;
pub(crate) mod rules;
pub(crate) mod userspace;
pub(crate) mod worker;

use std::{future::Future, net::SocketAddr};

use meshlite_snapshot::Protocol;

pub(crate) use self::begun::{Applied, Begun};
use crate::{
    plan::Step,
    table::{Key, Observed, Scheduler},
};

/// A kernel: something that carries traffic as a table of virtual servers says.
///
/// What it must hold to:
/// - [`read`](Self::read) shows what is really there, whoever changed it. What it cannot store (whose a virtual server
///   is, say) it remembers from the steps.
/// - A step that succeeded shows in the next read, and only that step does.
/// - A step that failed is not done, and the steps after it were tried all the same. At worst the virtual server that it
///   is about is gone, or there with some of its real servers, and the next read shows that.
/// - Applying a few steps costs what those steps cost, however large the table is; after it, as between any two steps,
///   no virtual server that has usable real servers is without them.
/// - No step closes an established connection but [`Step::RemoveRealServer`] and [`Step::RemoveVirtualServer`].
/// - A kernel in which established connections need no real server any more reports 0 connections.
pub(crate) trait Kernel: Send + 'static {
    /// What this kernel can do here.
    fn capabilities(&self) -> Capabilities;

    /// Everything that is programmed, also by others where they share the kernel.
    fn read(&mut self) -> impl Future<Output = Result<Observed, KernelError>> + Send;

    /// Whether everything is certain to be as the last reading and the steps since left it, so that there is nothing to
    /// read.
    fn is_as_left(&mut self) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }

    /// Applies the steps of one phase in order, as one batch where the kernel has batches; those of all phases where it
    /// [is atomic](Capabilities::is_atomic). Answers for each, in the same order.
    fn apply(
        &mut self,
        steps: &[Step],
    ) -> impl Future<Output = Vec<Result<(), KernelError>>> + Send;

    /// Begins to apply steps that add virtual servers, of one phase, and may be at those begun before still. Each is to be
    /// [finished](Self::finish), in this order, before anything else is asked for. Who does one thing at a time applies
    /// them here.
    fn begin(&mut self, steps: Vec<Step>) -> impl Future<Output = Begun> + Send {
        async {
            let results = self.apply(&steps).await;
            Begun::done(steps.into(), results)
        }
    }

    /// Waits until the steps that were begun first are applied.
    fn finish(&mut self, begun: Begun) -> impl Future<Output = Applied> + Send {
        begun.applied()
    }

    /// Takes away what an interrupted run has left, once everything is as it should be that was read last: before, it may
    /// be what a virtual server needs that comes yet. What stays is seen with the next reading.
    fn tidy(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Connections of just these real servers, in the same order; 0 for one that is not there. Cheap: it is asked while
    /// they drain.
    fn connections(
        &mut self,
        of: &[(Key, SocketAddr)],
    ) -> impl Future<Output = Result<Vec<u64>, KernelError>> + Send;
}

/// What a kernel can do here: it may depend on modules that are loaded, and on permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// The name by which users know it.
    pub(crate) name: &'static str,
    /// Transport protocols that it carries.
    pub(crate) protocols: Vec<Protocol>,
    /// Schedulers that it has; rr is among them.
    pub(crate) schedulers: Vec<Scheduler>,
    /// Protocols for which it can serve every address of the node with one virtual server.
    pub(crate) every_node_address: Vec<Protocol>,
    /// All steps of one call are made in one transaction: they need no phases.
    pub(crate) is_atomic: bool,
    /// Established connections need their real server: one that is not wanted any more has to drain.
    pub(crate) needs_drains: bool,
}

/// Why a kernel did not do something. The variant is what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KernelError {
    /// It may work later: try again.
    #[error("{0}")]
    Retry(String),
    /// The kernel is not as the plan took it to be: read and plan anew.
    #[error("{0}")]
    Resync(String),
    /// It will not work as long as the same is asked for: leave this one out.
    #[error("{0}")]
    Unsupported(String),
}

// === impl KernelError ===

impl KernelError {
    /// Whether the same step may succeed later by itself.
    pub(crate) const fn may_pass(&self) -> bool {
        match self {
            Self::Retry(_) | Self::Resync(_) => true,
            Self::Unsupported(_) => false,
        }
    }
}

#[cfg(test)]
mod contract;
