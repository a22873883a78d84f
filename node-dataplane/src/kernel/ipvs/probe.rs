//! Whether IPVS works here, and what it has: modules are loaded, and a virtual server is made, read and deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    ops::RangeFrom,
};

use meshlite_ipvs::{Change, Error, Service, ServiceKey};

use super::{door::Door, value};
use crate::{
    host::modules::{self, Modules},
    kernel::KernelError,
    table::Scheduler,
};

/// Where trials are, which is reserved for documentation: kube-proxy uses the same, with the first of these ports.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 0));
const PORTS: RangeFrom<u16> = 20000..;

/// Loads what can be loaded, and says which schedulers may be there. They come first: see [`modules::of_ipvs`].
pub(super) fn load() -> BTreeSet<Scheduler> {
    let wanted = modules::of_ipvs(Scheduler::ALL);
    let present: BTreeSet<String> = Modules::of_host()
        .load(&wanted)
        .into_iter()
        .filter(modules::Report::may_be_there)
        .map(|report| report.module)
        .collect();
    let is_there = |scheduler: &Scheduler| present.contains(&format!("ip_vs_{scheduler}"));
    Scheduler::ALL.into_iter().filter(is_there).collect()
}

/// Tries IPVS, and these schedulers: with a virtual server for each, since Linux waits for a grace period of all
/// processors whenever one gets another scheduler. Old kernels say that they made a virtual server and did not, so they
/// are read back. Says which are there.
pub(super) fn trial<D: Door>(
    door: &mut D,
    schedulers: &BTreeSet<Scheduler>,
) -> Result<Vec<Scheduler>, KernelError> {
    let usual = Scheduler::default();
    let all = Scheduler::ALL.into_iter().zip(PORTS);
    let tried = all.filter(|(tried, _)| schedulers.contains(tried) || *tried == usual);
    let mut trials: BTreeMap<Scheduler, Service> = tried
        .map(|(tried, port)| (tried, value::service_of(place(port), tried, None)))
        .collect();
    let adds = trials.values().copied().map(Change::AddService);
    let mut failures = changed(door, &adds.collect::<Vec<_>>())?;
    // One that died on its trial left it.
    failures.retain(|_, error| !matches!(error, Error::Exists(_)));
    let mut refused = BTreeMap::new();
    for (index, error) in failures.into_iter().rev() {
        if let Some(scheduler) = trials.keys().nth(index).copied() {
            trials.remove(&scheduler);
            refused.insert(scheduler, error);
        }
    }
    let listed = door.services();
    let deletes = trials.values().map(|made| Change::DeleteService(made.key));
    let left = changed(door, &deletes.collect::<Vec<_>>())?;
    if let Some(error) = refused.remove(&usual) {
        return Err(value::error(&error));
    }
    let listed = listed.map_err(|error| value::error(&error))?;
    let listed: BTreeSet<_> = listed.iter().map(|entry| entry.service.key).collect();
    trials.retain(|_, made| listed.contains(&made.key));
    if !trials.contains_key(&usual) {
        let text = "IPVS takes virtual servers and has none: its modules are not whole".to_owned();
        return Err(KernelError::Unsupported(text));
    }
    if let Some(error) = left.into_values().next() {
        return Err(value::error(&error));
    }
    Ok(trials.into_keys().collect())
}

const fn place(port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: meshlite_ipvs::Protocol::TCP,
        address: ADDRESS,
        port,
    }
}

/// Makes changes. Which failed, by their places, and why.
fn changed<D: Door>(
    door: &mut D,
    changes: &[Change],
) -> Result<BTreeMap<usize, Error>, KernelError> {
    let failures = door.apply(changes).map_err(|error| value::error(&error))?;
    let failures = failures.into_iter();
    Ok(failures
        .map(|failure| (failure.index, failure.error))
        .collect())
}
