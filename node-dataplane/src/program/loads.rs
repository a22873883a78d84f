//! What this node carries to the endpoints of Services that are balanced by load, for the control plane to weigh.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use meshlite_proto::{subscribe::Commit, v1::EndpointLoad};
use meshlite_snapshot::{Balance, Name, ResourceType};

use super::Program;
use crate::kernel::{Kernel, KernelError};

/// How often connections are counted: twice for each heartbeat, so that none tells of old ones.
pub(super) const COUNT: Duration = Duration::from_secs(5);

/// The Services that are balanced by load.
#[derive(Debug, Default)]
pub(super) struct Balanced(BTreeSet<Name>);

impl Balanced {
    /// Takes in what a commit changes.
    pub(super) fn take(&mut self, commit: &Commit) {
        let changes = commit.changes().iter();
        for change in changes.filter(|change| change.topic.kind == ResourceType::Service) {
            let service = commit.snapshot().services.get(&change.name);
            if service.is_some_and(|service| service.balance == Some(Balance::Load)) {
                self.0.insert(change.name.clone());
            } else {
                self.0.remove(&change.name);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Kernel> Program<K> {
    /// Connections of the endpoints of these Services, over all of their addresses; of those that have any.
    pub(super) async fn loads(&mut self, of: &Balanced) -> Result<Vec<EndpointLoad>, KernelError> {
        let (mut services, mut asked) = (Vec::new(), Vec::new());
        for service in &of.0 {
            for (key, server) in self.wanted.desired.servers_of(service) {
                for address in server.real_servers.addresses() {
                    services.push(service);
                    asked.push((key, address));
                }
            }
        }
        let counts = self.kernel.connections(&asked).await?;
        let mut sums: BTreeMap<(&Name, SocketAddr), u64> = BTreeMap::new();
        for ((service, (_, address)), count) in services.into_iter().zip(asked).zip(counts) {
            if count > 0 {
                *sums.entry((service, address)).or_default() += count;
            }
        }
        let load = |((service, endpoint), count): ((&Name, SocketAddr), u64)| EndpointLoad {
            service: service.to_string(),
            address: endpoint.ip().to_string(),
            port: endpoint.port().into(),
            active_connections: count,
        };
        Ok(sums.into_iter().map(load).collect())
    }
}

#[cfg(test)]
mod tests;
