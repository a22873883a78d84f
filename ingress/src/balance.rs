//! Chooses the endpoint that a request goes to, and the ones after it if it cannot be reached.

use std::{net::SocketAddr, rc::Rc};

use tracing::debug;

use crate::{
    pool::Resolver,
    respond::Refusal,
    table::{Cluster, Endpoints},
};

/// Endpoints of a cluster, from the one whose turn it is.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    addresses: Addresses<'a>,
    first: usize,
}

#[derive(Debug)]
enum Addresses<'a> {
    Known(&'a [SocketAddr]),
    Resolved(Rc<[SocketAddr]>),
}

/// Round robin over the cluster's endpoints, counted over all cores.
pub(crate) async fn balance<'a>(
    cluster: &'a Cluster,
    resolver: &Resolver,
) -> Result<Turn<'a>, Refusal> {
    let addresses = match &cluster.endpoints {
        Endpoints::Addresses(addresses) if addresses.is_empty() => {
            return Err(Refusal::NoEndpoints);
        }
        Endpoints::Addresses(addresses) => Addresses::Known(addresses),
        Endpoints::Dns { name, port } => {
            let resolved = resolver.resolve(name, *port).await;
            let resolved = resolved.map_err(|error| {
                debug!(cluster = %cluster.name, %name, %error, "name cannot be resolved");
                Refusal::NoAddress
            })?;
            Addresses::Resolved(resolved)
        }
    };
    let turn = Turn {
        addresses,
        first: cluster.next_turn(),
    };
    if turn.count() == 0 {
        Err(Refusal::NoAddress)
    } else {
        Ok(turn)
    }
}

impl Turn<'_> {
    /// How many endpoints there are.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// The endpoint after `skipped` others.
    pub(crate) fn endpoint(&self, skipped: usize) -> Option<SocketAddr> {
        let all = self.all();
        all.get(self.first.wrapping_add(skipped).checked_rem(all.len())?)
            .copied()
    }

    fn all(&self) -> &[SocketAddr] {
        match &self.addresses {
            Addresses::Known(addresses) => addresses,
            Addresses::Resolved(addresses) => addresses,
        }
    }
}
