//! Services get their cluster IPs and node ports.
//!
//! In passes, so that the result depends on nothing but the objects and what they held: what is held stays; then
//! explicit choices, of those that hold something first; then what absent Services hold is set aside; then the rest is
//! chosen by hash, addresses before node ports. A Service that is refused takes nothing from the others.

mod claims;
mod result;
mod slots;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Service;
use meshlite_compile::ObjectKey;
use meshlite_snapshot::{AddressFamily, ObjectRef, SourceLocation};

use super::{
    AdmitSettings, Allocations, ServiceAllocation, catalog::Kind, findings::Findings, ranges,
};
use crate::Problem;
use claims::Claims;
use slots::Slots;

/// The Services that are served, and what they hold.
#[derive(Debug, Default)]
pub(super) struct AdmittedServices {
    pub(super) services: BTreeMap<ObjectKey, Arc<Service>>,
    pub(super) allocations: Allocations,
}

/// A Service on its way through the passes.
struct Candidate<'a> {
    key: &'a ObjectKey,
    /// `namespace/name`: its key in the allocations, and what is hashed.
    name: String,
    service: &'a Arc<Service>,
    source: &'a SourceLocation,
    /// It has what it held before, so it is served on where a change of it is refused.
    incumbent: bool,
    refused: bool,
    slots: Slots,
}

/// Allocates. With `keep_absent`, what absent Services hold stays theirs: they may be in a file that cannot be read.
pub(super) fn allocate(
    services: &Kind<'_, Service>,
    before: &Allocations,
    settings: &AdmitSettings,
    keep_absent: bool,
    findings: &mut Findings,
) -> AdmittedServices {
    let mut candidates = candidates(services, before, settings);
    let mut claims = Claims::default();
    for (owner, candidate) in candidates.iter_mut().enumerate() {
        candidate.settle_held(owner, &mut claims, findings);
    }
    let (incumbents, others): (Vec<_>, Vec<_>) =
        (0..candidates.len()).partition(|i| candidates.get(*i).is_some_and(|c| c.incumbent));
    for owner in incumbents.into_iter().chain(others) {
        let taken = conflicts(owner, &candidates, &claims);
        if let Some(candidate) = candidates.get_mut(owner) {
            candidate.settle_explicit(owner, taken, &mut claims, findings);
        }
    }
    let mut admitted = AdmittedServices::default();
    if keep_absent {
        let present: BTreeSet<_> = candidates.iter().map(|c| c.name.as_str()).collect();
        for (name, held) in &before.services {
            if !present.contains(name.as_str()) && claims.set_aside(held) {
                admitted
                    .allocations
                    .services
                    .insert(name.clone(), held.clone());
            }
        }
    }
    for (owner, candidate) in candidates.iter_mut().enumerate() {
        candidate.settle_addresses(owner, settings, &mut claims, findings);
    }
    for (owner, candidate) in candidates.iter_mut().enumerate() {
        candidate.settle_ports(owner, settings, &mut claims, findings);
    }
    let mut held = Vec::with_capacity(candidates.len());
    let mut served = Vec::with_capacity(candidates.len());
    for candidate in candidates
        .into_iter()
        .filter(|candidate| !candidate.refused)
    {
        candidate.warn_outside_ranges(settings, findings);
        let service = result::with_slots(candidate.service, &candidate.slots);
        served.push((candidate.key.clone(), service));
        let allocation = candidate.slots.allocation();
        if allocation != ServiceAllocation::default() {
            held.push((candidate.name, allocation));
        }
    }
    admitted.allocations.services.extend(held);
    admitted.services = served.into_iter().collect();
    admitted
}

fn candidates<'a>(
    services: &'a Kind<'_, Service>,
    before: &Allocations,
    settings: &AdmitSettings,
) -> Vec<Candidate<'a>> {
    let nothing = ServiceAllocation::default();
    let candidate = |(key, entry): (&'a ObjectKey, &'a super::catalog::Entry<'_, Service>)| {
        let name = key.to_string();
        let held = before.services.get(&name);
        Candidate {
            key,
            service: entry.object,
            source: entry.source,
            incumbent: held.is_some(),
            refused: false,
            slots: slots::of(entry.object, held.unwrap_or(&nothing), settings),
            name,
        }
    };
    services.iter().map(candidate).collect()
}

/// What this Service asks for by number and another one has.
fn conflicts(owner: usize, candidates: &[Candidate<'_>], claims: &Claims) -> Vec<Problem> {
    let Some(candidate) = candidates.get(owner).filter(|candidate| !candidate.refused) else {
        return Vec::new();
    };
    let conflicts = candidate.slots.conflicts(claims).into_iter();
    conflicts
        .map(|conflict| {
            let owner = candidates
                .get(conflict.owner)
                .map_or("", |c| c.name.as_str());
            let message = format!(
                "Invalid value: {}: provided {} is already allocated to Service {owner}",
                conflict.value, conflict.what
            );
            Problem::error(conflict.field, "AlreadyAllocated", message)
        })
        .collect()
}

impl Candidate<'_> {
    fn reference(&self) -> ObjectRef {
        ObjectRef::new("Service", &self.key.namespace, &self.key.name)
    }

    fn report(&self, problem: Problem, findings: &mut Findings) {
        findings.add(self.reference(), self.source, problem);
    }

    /// What was held. Families that cannot be had and addresses that cannot change are refused.
    fn settle_held(&mut self, owner: usize, claims: &mut Claims, findings: &mut Findings) {
        self.slots.claim_held(claims, owner);
        if let Some(first) = self.slots.addresses.first() {
            // A headless Service that becomes another one has no address yet.
            self.incumbent = first.got.is_some();
        }
        let problems = std::mem::take(&mut self.slots.problems);
        self.refuse_unless_incumbent(problems, claims, findings);
    }

    /// Problems of a Service that has what it held leave it at that.
    fn refuse_unless_incumbent(
        &mut self,
        problems: Vec<Problem>,
        claims: &mut Claims,
        findings: &mut Findings,
    ) {
        if !problems.is_empty() && !self.incumbent {
            self.refused = true;
            self.slots.release(claims);
        }
        for problem in problems {
            self.report(problem, findings);
        }
    }

    /// What the Service asks for by number: all of it or nothing, unless it was served before.
    fn settle_explicit(
        &mut self,
        owner: usize,
        taken: Vec<Problem>,
        claims: &mut Claims,
        findings: &mut Findings,
    ) {
        self.refuse_unless_incumbent(taken, claims, findings);
        if !self.refused {
            self.slots.claim_explicit(claims, owner);
        }
    }

    /// Addresses that nobody chose. Without its first address a Service cannot be served; without another one it can.
    fn settle_addresses(
        &mut self,
        owner: usize,
        settings: &AdmitSettings,
        claims: &mut Claims,
        findings: &mut Findings,
    ) {
        if self.refused {
            return;
        }
        let mut full = Vec::new();
        for (i, slot) in self.slots.addresses.iter_mut().enumerate() {
            if !slot.is_open() {
                continue;
            }
            let ranges = settings.service_cidrs.iter();
            slot.got = ranges
                .filter(|range| AddressFamily::of(range.addr()) == slot.family)
                .find_map(|range| {
                    let is_free =
                        |n| ranges::address(range, n).is_some_and(|ip| claims.is_free(ip));
                    ranges::address(range, ranges::addresses(range).pick(&self.name, is_free)?)
                });
            if let Some(ip) = slot.got {
                claims.address(ip, owner);
                continue;
            }
            full.push(Problem::error(
                slot.field,
                "RangeFull",
                "no cluster IP is free in the service CIDRs; give one with `clusterIP` or widen --service-cidr",
            ));
            if i == 0 {
                self.refused = true;
                break;
            }
        }
        if self.refused {
            self.slots.release(claims);
        }
        for problem in full {
            self.report(problem, findings);
        }
    }

    /// Node ports that nobody chose.
    fn settle_ports(
        &mut self,
        owner: usize,
        settings: &AdmitSettings,
        claims: &mut Claims,
        findings: &mut Findings,
    ) {
        if self.refused {
            return;
        }
        let band = ranges::ports(&settings.node_port_range);
        for i in 0..self.slots.ports.len() {
            let Some(slot) = self.slots.ports.get(i).filter(|slot| slot.is_open()) else {
                continue;
            };
            let hashed = || {
                let name = format!("{}:{}", self.name, slot.port);
                u16::try_from(band.pick(&name, |n| claims.is_number_free(n))?).ok()
            };
            let shared = self.slots.same_number_as(slot);
            let got = shared
                .filter(|port| claims.is_port_free(slot.protocol, *port))
                .or_else(hashed);
            match got {
                Some(port) => _ = claims.port(slot.protocol, port, owner),
                None => self.report(
                    Problem::error(
                        slot.field(),
                        "RangeFull",
                        "no node port is free; give one with `nodePort` or widen --service-node-port-range",
                    ),
                    findings,
                ),
            }
            if let Some(slot) = self.slots.ports.get_mut(i) {
                slot.got = got;
            }
        }
    }

    /// Numbers that an API server would refuse, and addresses of a range that is no longer there.
    fn warn_outside_ranges(&self, settings: &AdmitSettings, findings: &mut Findings) {
        let range = &settings.node_port_range;
        for slot in self.slots.ports.iter().filter(|slot| slot.wanted.is_some()) {
            if let Some(port) = slot.got.filter(|port| !range.contains(port)) {
                let message = format!(
                    "{port} is outside the node port range {}-{}: served here, refused by an API server; choose one inside, or widen --service-node-port-range",
                    range.start(),
                    range.end()
                );
                self.report(
                    Problem::warning(slot.field(), "OutsideRange", message),
                    findings,
                );
            }
        }
        for slot in self
            .slots
            .addresses
            .iter()
            .filter(|slot| slot.wanted.is_none())
        {
            let is_outside = |ip| {
                !settings
                    .service_cidrs
                    .iter()
                    .any(|range| range.contains(&ip))
            };
            if let Some(ip) = slot.got.filter(|ip| is_outside(*ip)) {
                let message = format!(
                    "{ip} is outside every service CIDR; it is kept, because clients know it"
                );
                self.report(
                    Problem::warning(slot.field, "OutsideRange", message),
                    findings,
                );
            }
        }
    }
}
