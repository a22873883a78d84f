//! Connections of endpoints, as they are reported and summed.

use std::{collections::BTreeMap, net::IpAddr};

use meshlite_compile::ObjectKey;
use meshlite_proto::v1;

use super::Balanced;

/// More connections than a node keeps; what is reported beyond it does not count.
const MOST_CONNECTIONS: u64 = 1_000_000;

/// Connections by endpoint, by Service. An endpoint that is not listed has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loads(BTreeMap<ObjectKey, BTreeMap<IpAddr, u64>>);

impl Loads {
    /// What is said of endpoints of these Services, over all of their ports; and how much of it is about anything else.
    pub(crate) fn read(told: &[v1::EndpointLoad], balanced: &Balanced) -> (Self, usize) {
        let mut loads = Self::default();
        let mut others = 0;
        for load in told {
            let known = load.service.split_once('/').and_then(|(namespace, name)| {
                let key = ObjectKey::new(namespace, name);
                let address = load.address.parse().ok()?;
                let is_known = balanced.get(&key)?.contains_key(&address);
                is_known.then_some((key, address))
            });
            match known {
                Some((key, address)) => {
                    let count = load.active_connections.min(MOST_CONNECTIONS);
                    loads.count(key, address, count);
                }
                None => others += 1,
            }
        }
        (loads, others)
    }

    /// As they are told.
    pub(crate) fn told(&self) -> impl Iterator<Item = v1::EndpointLoad> {
        self.0.iter().flat_map(|(service, loads)| {
            loads.iter().map(|(address, count)| v1::EndpointLoad {
                service: service.to_string(),
                address: address.to_string(),
                port: 0,
                active_connections: *count,
            })
        })
    }

    pub(super) fn of(&self, service: &ObjectKey) -> Option<&BTreeMap<IpAddr, u64>> {
        self.0.get(service)
    }

    pub(super) fn services(&self) -> impl Iterator<Item = (&ObjectKey, &BTreeMap<IpAddr, u64>)> {
        self.0.iter()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (service, loads) in &other.0 {
            for (address, count) in loads {
                self.count(service.clone(), *address, *count);
            }
        }
    }

    /// One more count of an endpoint.
    pub(super) fn count(&mut self, service: ObjectKey, address: IpAddr, count: u64) {
        let sum = self.0.entry(service).or_default();
        let sum = sum.entry(address).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Keeps what is about endpoints of these Services.
    pub(super) fn retain(&mut self, balanced: &Balanced) {
        self.0.retain(|service, loads| {
            let bases = balanced.get(service);
            loads.retain(|address, _| bases.is_some_and(|bases| bases.contains_key(address)));
            !loads.is_empty()
        });
    }
}
