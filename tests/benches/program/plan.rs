//! How much is measured.

use std::time::Duration;

use crate::{objects::Size, subject::Task, traffic::Effort};

/// A whole run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) is_quick: bool,
    /// What kube-proxy is given in each mode, and Meshlite too.
    pub(crate) compared_nft: Size,
    pub(crate) compared_ipvs: Size,
    /// What Meshlite and the floors are given.
    pub(crate) sizes: &'static [u32],
    /// The same for IPVS in the virtual machine.
    pub(crate) ipvs_sizes: &'static [u32],
    /// Runs of which the median counts.
    pub(crate) runs: u16,
    /// Longest for all of it.
    pub(crate) limit: Duration,
    /// Longest for the virtual machine.
    pub(crate) guest: Duration,
    pub(crate) idle: Duration,
}

/// Endpoints of each Service where nothing else is said.
pub(crate) const ENDPOINTS: u32 = 10;
/// As many Services as in the report of a cluster where kube-proxy took a quarter of an hour, with two endpoints each.
pub(crate) const LARGEST: Size = Size {
    services: 44_000,
    endpoints: 2,
};
/// One Service alone.
pub(crate) const ONE: Size = Size {
    services: 1,
    endpoints: 1,
};
/// In this machine's kernel.
pub(crate) const NATIVE: Effort = Effort {
    connections: 6_000,
    questions: 10_000,
    sending: Duration::from_secs(2),
};
/// In one that is emulated.
pub(crate) const EMULATED: Effort = Effort {
    connections: 200,
    questions: 500,
    sending: Duration::from_secs(2),
};

// === impl Plan ===

impl Plan {
    pub(crate) const FULL: Self = Self {
        is_quick: false,
        compared_nft: Size {
            services: 5_000,
            endpoints: 2,
        },
        compared_ipvs: Size {
            services: 1_000,
            endpoints: 10,
        },
        sizes: &[1_000, 5_000, 10_000],
        ipvs_sizes: &[1_000, 5_000, 10_000],
        runs: 3,
        limit: Duration::from_secs(1_190),
        guest: Duration::from_secs(690),
        idle: Duration::from_mins(1),
    };
    pub(crate) const QUICK: Self = Self {
        is_quick: true,
        compared_nft: Size {
            services: 500,
            endpoints: 2,
        },
        compared_ipvs: Size {
            services: 50,
            endpoints: 10,
        },
        sizes: &[1_000, 10_000],
        ipvs_sizes: &[1_000],
        runs: 1,
        limit: Duration::from_secs(400),
        guest: Duration::from_secs(200),
        idle: Duration::from_secs(15),
    };

    /// What is asked of a proxy that is no more than started and changed.
    pub(crate) fn task(self) -> Task {
        Task {
            starts: self.runs.into(),
            changes: if self.is_quick { 5 } else { 15 },
            idle: Duration::ZERO,
            traffic: None,
        }
    }
}
