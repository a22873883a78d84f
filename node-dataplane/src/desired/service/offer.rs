//! What a Service serves at one address: the endpoints that its traffic policy allows, and for whom.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use meshlite_snapshot::{AddressFamily, ServicePort, TrafficPolicy};

use super::View;
use crate::{
    desired::{claims::Claim, share::Offer, surroundings::canonical},
    table::{
        Audience, LocalDetector, Masquerade, RealServer, RealServers, Scheduler, Settings, VipKind,
        VirtualServer, WhenEmpty,
    },
};

/// The weight of an endpoint that a Weights resource does not list.
const UNLISTED_WEIGHT: u16 = 100;

/// What the virtual servers of one Service port and address family have in common.
pub(super) struct Shared<'a> {
    pub(super) port: &'a ServicePort,
    pub(super) family: AddressFamily,
    pub(super) scheduler: Scheduler,
    /// For the policy Cluster.
    pub(super) cluster: RealServers,
    /// For the policy Local, if the Service has it.
    pub(super) local: RealServers,
    /// As of [`Categorized`](crate::desired::endpoints::Categorized).
    pub(super) has_any: bool,
}

impl View<'_> {
    /// One address, with the endpoints that its traffic policy allows.
    pub(super) fn offer(&self, claim: &Claim, shared: &Shared<'_>) -> Offer {
        let kind = claim.kind;
        let policy = match kind {
            VipKind::ClusterIP => self.service.internal_traffic_policy,
            VipKind::NodePort | VipKind::LoadBalancer | VipKind::ExternalIP => {
                self.service.external_traffic_policy
            }
        };
        let is_local = policy == TrafficPolicy::Local;
        let server = |audience, real_servers: &RealServers, is_local: bool| VirtualServer {
            origin: claim.origin(),
            settings: Settings {
                scheduler: shared.scheduler,
                persistence: self.service.session_affinity_seconds,
                source_ranges: match kind {
                    VipKind::LoadBalancer => self.source_ranges(claim.frontend.address.ip()),
                    VipKind::ClusterIP | VipKind::NodePort | VipKind::ExternalIP => Arc::default(),
                },
                when_empty: if is_local && shared.has_any {
                    WhenEmpty::Drop
                } else {
                    WhenEmpty::Reject
                },
                masquerade: self.masquerade(kind, audience),
            },
            real_servers: real_servers.clone(),
        };
        let (everyone, inside) = (Audience::Everyone, Audience::Inside);
        Offer {
            everyone: match policy {
                TrafficPolicy::Cluster => server(everyone, &shared.cluster, false),
                TrafficPolicy::Local => server(everyone, &shared.local, true),
            },
            // Pods and the node itself are no outside clients, whatever address they use.
            inside: (is_local && kind != VipKind::ClusterIP)
                .then(|| server(inside, &shared.cluster, false)),
        }
    }

    /// Whose source address is replaced: everybody's from whom answers would not come back through this node, unless a
    /// traffic policy promises the source address.
    fn masquerade(&self, kind: VipKind, audience: Audience) -> Masquerade {
        match (kind, self.service.external_traffic_policy, audience) {
            (VipKind::ClusterIP, _, _) if self.facts.masquerade_all => Masquerade::Always,
            (VipKind::ClusterIP, _, _) => Masquerade::NotPods,
            (_, TrafficPolicy::Cluster, _) => Masquerade::Always,
            (_, TrafficPolicy::Local, Audience::Everyone) => Masquerade::Never,
            // Without a detector only this node itself is inside.
            (_, TrafficPolicy::Local, Audience::Inside) if *self.pods == LocalDetector::None => {
                Masquerade::Always
            }
            (_, TrafficPolicy::Local, Audience::Inside) => Masquerade::NotPods,
        }
    }

    pub(super) fn real_servers(
        &self,
        addresses: &[SocketAddr],
        here: &[SocketAddr],
    ) -> RealServers {
        let weight = |address: &SocketAddr| {
            let Some(weights) = self.weights else {
                return 1;
            };
            // Sorted: a Service may have ten thousand of them.
            let first = weights
                .endpoints
                .partition_point(|listed| listed.address < address.ip());
            let listed = weights.endpoints.iter().skip(first);
            listed
                .take_while(|listed| listed.address == address.ip())
                .find(|listed| listed.port.is_none_or(|port| port == address.port()))
                .map_or(UNLISTED_WEIGHT, |listed| listed.weight)
        };
        let real = |address: &SocketAddr| RealServer {
            weight: weight(address),
            is_local: here.binary_search(address).is_ok(),
        };
        RealServers::from_sorted(addresses.iter().map(|a| (*a, real(a))))
    }

    /// Clients of a load-balancer address. Without a range of its family all may connect, as with kube-proxy.
    ///
    /// Where a virtual address is an address of the host, the host connects to it from that same address: so that may
    /// connect where this node may.
    fn source_ranges(&self, vip: IpAddr) -> Arc<BTreeSet<IpNet>> {
        let family = AddressFamily::of(vip);
        let ranges = self.service.load_balancer_source_ranges.iter().copied();
        let ranges = ranges.filter(|range| AddressFamily::of(range.addr()) == family);
        let mut own = self.primary_addresses.iter().map(IpNet::addr);
        let may_connect = own.any(|own| ranges.clone().any(|range| range.contains(&own)));
        canonical(ranges.chain(may_connect.then(|| vip.into())))
    }
}
