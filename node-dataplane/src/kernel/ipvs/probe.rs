//! Whether IPVS works here, and what it has: modules are loaded, and a virtual server is made, read and deleted.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use meshlite_ipvs::{Change, Error, Service, ServiceKey};
use meshlite_snapshot::Protocol;

use super::{door::Door, value};
use crate::{
    host::modules::{self, Modules},
    kernel::{Capabilities, KernelError},
    table::Scheduler,
};

/// The place of the trial, which is reserved for documentation: kube-proxy uses the same.
const TRIAL: ServiceKey = ServiceKey::Address {
    protocol: meshlite_ipvs::Protocol::TCP,
    address: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 0)),
    port: 20000,
};

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

/// Tries IPVS, and each of these schedulers. Old kernels say that they made a virtual server and did not, so it is read
/// back.
pub(super) fn trial<D: Door>(
    door: &mut D,
    schedulers: &BTreeSet<Scheduler>,
) -> Result<Capabilities, KernelError> {
    let service = |scheduler| value::service_of(TRIAL, scheduler, None);
    let usual = service(Scheduler::default());
    match change(door, Change::AddService(usual)) {
        // One that died on its trial left it.
        Ok(()) | Err(Error::Exists(_)) => {}
        Err(error) => return Err(value::error(&error)),
    }
    let found = is_there(door, &usual);
    let has = |scheduler: &Scheduler| {
        *scheduler == Scheduler::default()
            || change(door, Change::EditService(service(*scheduler))).is_ok()
    };
    let schedulers = match found {
        Ok(true) => {
            let tried = Scheduler::ALL.iter().copied();
            let tried = tried.filter(|s| schedulers.contains(s) || *s == Scheduler::default());
            tried.filter(has).collect()
        }
        Ok(false) | Err(_) => Vec::new(),
    };
    let deleted = change(door, Change::DeleteService(TRIAL));
    if !found? {
        let text = "IPVS takes virtual servers and has none: its modules are not whole".to_owned();
        return Err(KernelError::Unsupported(text));
    }
    deleted.map_err(|error| value::error(&error))?;
    Ok(Capabilities {
        name: "ipvs",
        protocols: vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
        schedulers,
        every_node_address: Vec::new(),
        is_atomic: false,
        needs_drains: true,
    })
}

fn is_there<D: Door>(door: &mut D, service: &Service) -> Result<bool, KernelError> {
    let all = door.services().map_err(|error| value::error(&error))?;
    Ok(all.iter().any(|entry| entry.service.key == service.key))
}

fn change<D: Door>(door: &mut D, change: Change) -> Result<(), Error> {
    match door.apply(vec![change])?.pop() {
        None => Ok(()),
        Some(failure) => Err(failure.error),
    }
}
