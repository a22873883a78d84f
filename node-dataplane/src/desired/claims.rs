//! Who claims which place, and who has it.

use std::{collections::BTreeMap, net::IpAddr};

use meshlite_snapshot::{AddressFamily, Finding, Name, Protocol, ServicePort, Severity};

use super::finding;
use crate::table::{Frontend, Origin, ServicePortName, VipKind, VirtualAddress};

/// A Service port's claim to a place. In order: of the claims to one place the first has it, so cluster IPs come before
/// external ones, and then Services by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) frontend: Frontend,
    pub(super) kind: VipKind,
    pub(super) service_port: ServicePortName,
    pub(super) service: Name,
}

/// Every claim, by place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims(BTreeMap<Frontend, Vec<Claim>>);

// === impl Claim ===

impl Claim {
    /// Whose it is.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            service_port: self.service_port.clone(),
            kind: self.kind,
        }
    }

    /// Whether it is one to an address of this family for this port of its Service.
    pub(super) fn is_of(&self, port: &ServicePort, family: AddressFamily) -> bool {
        let number = match self.kind {
            VipKind::NodePort => port.node_port,
            VipKind::ClusterIP | VipKind::LoadBalancer | VipKind::ExternalIP => Some(port.port),
        };
        let Frontend {
            address,
            port: claimed,
            protocol,
        } = self.frontend;
        number == Some(claimed)
            && protocol == port.protocol
            && AddressFamily::of(address.ip()) == family
            && *self.service_port.port == *port.name
    }
}

// === impl Claims ===

impl Claims {
    /// Who has the place.
    pub(super) fn holder(&self, frontend: &Frontend) -> Option<&Claim> {
        self.0.get(frontend)?.first()
    }

    /// Whether it is this claim that has its place.
    pub(super) fn holds(&self, claim: &Claim) -> bool {
        self.holder(&claim.frontend) == Some(claim)
    }

    pub(super) fn is_claimed(&self, frontend: &Frontend) -> bool {
        self.0.contains_key(frontend)
    }

    /// Says whether the place had no claim before.
    pub(super) fn insert(&mut self, claim: Claim) -> bool {
        let claims = self
            .0
            .entry(claim.frontend)
            .or_insert_with(|| Vec::with_capacity(1));
        let was_claimed = !claims.is_empty();
        if let Err(at) = claims.binary_search(&claim) {
            claims.insert(at, claim);
        }
        !was_claimed
    }

    /// Says whether the place has no claim any more.
    pub(super) fn remove(&mut self, claim: &Claim) -> bool {
        let Some(claims) = self.0.get_mut(&claim.frontend) else {
            return false;
        };
        if let Ok(at) = claims.binary_search(claim) {
            claims.remove(at);
        }
        if !claims.is_empty() {
            return false;
        }
        self.0.remove(&claim.frontend);
        true
    }

    /// Whether there is a claim to any address between these two, or to every address of the node.
    pub(super) fn are_any_between(&self, first: IpAddr, last: IpAddr) -> bool {
        let Some((highest, _)) = self.0.last_key_value() else {
            return false;
        };
        match highest.address {
            // Those come after all others.
            VirtualAddress::EveryNodeAddress(_) => true,
            VirtualAddress::Ip(highest) if highest < first => false,
            VirtualAddress::Ip(_) => {
                let from = Frontend {
                    address: VirtualAddress::Ip(first),
                    port: 0,
                    protocol: Protocol::Tcp,
                };
                let next = self.0.range(from..).next();
                next.is_some_and(|(next, _)| next.address <= VirtualAddress::Ip(last))
            }
        }
    }

    /// Claims to the place that another Service port has.
    pub(super) fn conflicts(&self, frontend: &Frontend) -> Vec<Finding> {
        let claims = self.0.get(frontend).map_or(&[][..], Vec::as_slice);
        let Some((winner, others)) = claims.split_first() else {
            return Vec::new();
        };
        let losers = others
            .iter()
            .filter(|loser| loser.service_port != winner.service_port);
        losers.map(|loser| conflict(loser, winner)).collect()
    }
}

fn conflict(loser: &Claim, winner: &Claim) -> Finding {
    finding(
        Severity::Error,
        &loser.origin(),
        "AddressConflict",
        format!(
            "{} is already served for the {:?} of Service {}; this Service gets no traffic there",
            loser.frontend, winner.kind, winner.service_port
        ),
    )
}
