//! Clusters and their shares of a route's requests.

use meshlite_snapshot::{Name, WeightedCluster};

use super::ClusterId;

/// Clusters by weight; those of weight 0 get nothing.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    /// With the sum of the weights up to and with each one's own.
    shares: Box<[(u64, ClusterId)]>,
    weights: u64,
}

impl Shares {
    pub(crate) fn new(
        backends: &[WeightedCluster],
        mut cluster: impl FnMut(&Name) -> ClusterId,
    ) -> Self {
        let mut weights = 0;
        let weighted = backends.iter().filter(|backend| backend.weight > 0);
        let shares = weighted.map(|backend| {
            weights += u64::from(backend.weight);
            (weights, cluster(&backend.cluster))
        });
        Self {
            shares: shares.collect(),
            weights,
        }
    }

    /// The cluster for one request. `random` gives a number below the one that it is told.
    pub(crate) fn choose(&self, random: impl FnOnce(u64) -> u64) -> Option<ClusterId> {
        match &*self.shares {
            [] => None,
            [(_, only)] => Some(*only),
            shares => {
                let ticket = random(self.weights);
                let chosen = shares.iter().find(|(until, _)| ticket < *until);
                chosen.map(|(_, cluster)| *cluster)
            }
        }
    }
}
