//! What one Service asks of this node: its addresses, each with the endpoints that its traffic policy allows.

mod offer;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use meshlite_snapshot::{
    AddressFamily, EndpointGroup, Finding, LoadBalancerIpMode, Name, ObjectRef, Service,
    ServicePort, Severity, Snapshot, TrafficPolicy, Weights,
};

use self::offer::Shared;
use super::{
    HealthCheck, Sources,
    claims::{Claim, Claims},
    endpoints::{Categorized, Place, candidates, categorize},
    share::{Asks, Wish},
    surroundings::Surroundings,
};
use crate::{
    facts::Facts,
    kernel::Capabilities,
    table::{
        Frontend, LocalDetector, RealServers, Scheduler, ServicePortName, VipKind, VirtualAddress,
    },
};

/// A Service as this node sees it.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) name: &'a Name,
    pub(super) service: &'a Service,
    pub(super) weights: Option<&'a Weights>,
    pub(super) place: Place<'a>,
    pub(super) facts: &'a Facts,
    pub(super) pods: &'a LocalDetector,
    /// The addresses that this node is known by.
    pub(super) primary_addresses: &'a [IpNet],
    pub(super) capabilities: &'a Capabilities,
}

impl<'a> View<'a> {
    /// None if the Service is gone, or another proxy's.
    pub(super) fn new(
        name: &'a Name,
        sources: Sources<'a>,
        surroundings: &'a Surroundings,
    ) -> Option<Self> {
        let services = &sources.snapshot.services;
        let service = services.get(name).filter(|service| service.l4)?;
        Some(Self {
            name,
            service,
            weights: sources.snapshot.weights.get(name).map(AsRef::as_ref),
            place: Place {
                node: &sources.facts.node_name,
                zone: surroundings.zone.as_deref(),
            },
            facts: sources.facts,
            pods: &surroundings.pods,
            primary_addresses: &surroundings.primary_addresses,
            capabilities: sources.capabilities,
        })
    }

    /// What it claims, sorted.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let (namespace, service): (Arc<str>, Arc<str>) = (
            self.service.namespace.as_str().into(),
            self.service.name.as_str().into(),
        );
        let mut claims = Vec::with_capacity(1);
        for port in &self.service.ports {
            let service_port = ServicePortName {
                namespace: Arc::clone(&namespace),
                service: Arc::clone(&service),
                port: port.name.as_str().into(),
            };
            for cluster_ip in &self.service.cluster_ips {
                self.claim_family(*cluster_ip, port, |frontend, kind| {
                    claims.push(Claim {
                        frontend,
                        kind,
                        service_port: service_port.clone(),
                        service: self.name.clone(),
                    });
                });
            }
        }
        claims.sort_unstable();
        // One address may be named twice.
        claims.dedup();
        claims
    }

    /// Whether what it claims depends on this host's addresses.
    pub(super) fn has_node_ports(&self) -> bool {
        self.service.ports.iter().any(|p| p.node_port.is_some())
    }

    /// What the Service asks for, and what it serves where its claims hold.
    pub(super) fn wish(&self, claims: &[Claim], all: &Claims, snapshot: &Snapshot) -> Wish {
        let mut asks = Asks::default();
        let scheduler = self.scheduler(&mut asks.findings);
        self.check_families(&mut asks.findings);
        let groups = self.groups(snapshot);
        let mut all_shared = Vec::with_capacity(1);
        let mut local_ready = BTreeSet::new();
        for port in &self.service.ports {
            for cluster_ip in &self.service.cluster_ips {
                let family = AddressFamily::of(*cluster_ip);
                let found = candidates(groups.iter().copied(), port, family, self.place.node);
                let found = categorize(&found, self.place);
                local_ready.extend(found.local_ready.iter().map(SocketAddr::ip));
                all_shared.push(self.shared(port, family, scheduler, &found, &mut asks));
            }
        }
        // They are as they should be where there is one port and one policy.
        if !asks.endpoints.is_sorted_by(|a, b| a < b) {
            asks.endpoints.sort_unstable();
            asks.endpoints.dedup();
        }
        asks.health_check = self.health_check(local_ready.len());
        let mut offers = Vec::with_capacity(claims.len());
        for claim in claims.iter().filter(|claim| all.holds(claim)) {
            let mut all_shared = all_shared.iter();
            let shared = all_shared.find(|shared| claim.is_of(shared.port, shared.family));
            offers.push((
                claim.frontend,
                shared.map(|shared| self.offer(claim, shared)),
            ));
        }
        Wish { asks, offers }
    }

    /// What is served of a port in a family. What the Service asks for there is added.
    fn shared<'s>(
        &self,
        port: &'s ServicePort,
        family: AddressFamily,
        scheduler: Scheduler,
        found: &Categorized,
        asks: &mut Asks,
    ) -> Shared<'s> {
        let has_none_here = found.local.is_empty() && found.has_any;
        let without = asks.no_local_endpoints.of(family);
        without.internal += u32::from(has_none_here && self.is_internal_local());
        without.external += u32::from(has_none_here && self.is_external_local(port));
        let mut real_servers = |of: &[SocketAddr]| {
            asks.endpoints.extend_from_slice(of);
            self.real_servers(of, &found.here)
        };
        Shared {
            port,
            family,
            scheduler,
            cluster: real_servers(&found.cluster),
            local: if self.has_local_policy() {
                real_servers(&found.local)
            } else {
                RealServers::default()
            },
            has_any: found.has_any,
        }
    }

    /// Where its endpoints are listed.
    fn groups<'s>(&self, snapshot: &'s Snapshot) -> Vec<&'s Arc<EndpointGroup>> {
        let Some((namespace, service)) = self.name.as_str().split_once('/') else {
            return Vec::new();
        };
        let groups = snapshot.endpoint_groups_of(namespace, service);
        groups.map(|(_, group)| group).collect()
    }

    /// What its health-check node port answers, if it has one, and the port.
    fn health_check(&self, local_endpoints: usize) -> Option<(u16, HealthCheck)> {
        let port = self.service.health_check_node_port?;
        let check = HealthCheck {
            namespace: self.service.namespace.clone(),
            name: self.service.name.clone(),
            local_endpoints,
        };
        Some((port, check))
    }

    /// The addresses of one family.
    fn claim_family(
        &self,
        cluster_ip: IpAddr,
        port: &ServicePort,
        mut claim: impl FnMut(Frontend, VipKind),
    ) {
        let family = AddressFamily::of(cluster_ip);
        let in_family = |ip: &IpAddr| AddressFamily::of(*ip) == family;
        let protocol = port.protocol;
        let mut add = |address, port, kind| {
            let frontend = Frontend {
                address,
                port,
                protocol,
            };
            claim(frontend, kind);
        };
        let number = port.port;
        add(VirtualAddress::Ip(cluster_ip), number, VipKind::ClusterIP);
        for ip in self.service.external_ips.iter().copied().filter(in_family) {
            add(VirtualAddress::Ip(ip), number, VipKind::ExternalIP);
        }
        for ip in self.vips().filter(in_family) {
            add(VirtualAddress::Ip(ip), number, VipKind::LoadBalancer);
        }
        if let Some(node_port) = port.node_port {
            let can_wildcard = &self.capabilities.every_node_address;
            let addresses = self
                .facts
                .node_port_addresses(family, can_wildcard.contains(&protocol));
            let is_served = |address: &VirtualAddress| {
                self.facts.loopback_node_ports || !address.ip().is_loopback()
            };
            for address in addresses.into_iter().filter(is_served) {
                add(address, node_port, VipKind::NodePort);
            }
        }
    }

    /// Load-balancer addresses that nodes serve.
    fn vips(&self) -> impl Iterator<Item = IpAddr> {
        let addresses = self.service.load_balancer.iter();
        addresses
            .filter(|address| address.ip_mode == LoadBalancerIpMode::Vip)
            .map(|address| address.ip)
    }

    fn has_local_policy(&self) -> bool {
        self.is_internal_local() || self.service.external_traffic_policy == TrafficPolicy::Local
    }

    fn is_internal_local(&self) -> bool {
        self.service.internal_traffic_policy == TrafficPolicy::Local
    }

    fn is_external_local(&self, port: &ServicePort) -> bool {
        self.service.external_traffic_policy == TrafficPolicy::Local
            && (port.node_port.is_some()
                || !self.service.external_ips.is_empty()
                || self.vips().next().is_some())
    }

    fn scheduler(&self, findings: &mut Vec<Finding>) -> Scheduler {
        let Some(wanted) = &self.service.ipvs_scheduler else {
            return self.default_scheduler(findings);
        };
        wanted.parse().unwrap_or_else(|_unknown| {
            findings.push(self.finding(
                "metadata.annotations[meshlite.io/ipvs-scheduler]",
                "UnknownScheduler",
                format!(
                    "IPVS has no scheduler {wanted:?}; {} is used",
                    self.facts.scheduler
                ),
            ));
            self.facts.scheduler
        })
    }

    /// The scheduler of a Service that asks for none. One with weights gets wrr for rr, which does not look at them.
    fn default_scheduler(&self, findings: &mut Vec<Finding>) -> Scheduler {
        let default = self.facts.scheduler;
        if self.weights.is_none() || default != Scheduler::Rr {
            return default;
        }
        if self.capabilities.schedulers.contains(&Scheduler::Wrr) {
            return Scheduler::Wrr;
        }
        findings.push(self.finding(
            "metadata.annotations[meshlite.io/ipvs-scheduler]",
            "WeightsIgnored",
            format!(
                "the Service has weights, but {default} does not look at them and {} has no wrr on this node",
                self.capabilities.name
            ),
        ));
        default
    }

    /// Addresses of a family in which the Service has no cluster IP are not served.
    fn check_families(&self, findings: &mut Vec<Finding>) {
        let is_served = |ip: IpAddr| {
            let mut cluster_ips = self.service.cluster_ips.iter();
            cluster_ips.any(|served| AddressFamily::of(*served) == AddressFamily::of(ip))
        };
        let externals = self.service.external_ips.iter().copied();
        let all = externals
            .map(|ip| ("spec.externalIPs", ip))
            .chain(self.vips().map(|ip| ("status.loadBalancer.ingress", ip)));
        for (field, ip) in all.filter(|(_, ip)| !is_served(*ip)) {
            findings.push(self.finding(
                field,
                "FamilyNotServed",
                format!(
                    "{ip} is not served: the Service has no cluster IP of its address family; add the family to \
                     spec.ipFamilies"
                ),
            ));
        }
    }

    fn finding(&self, field: &str, reason: &'static str, message: String) -> Finding {
        Finding {
            severity: Severity::Warning,
            object: ObjectRef::new("Service", &*self.service.namespace, &*self.service.name),
            field: field.to_owned(),
            reason: reason.into(),
            message,
            source: None,
        }
    }
}
