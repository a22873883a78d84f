//! Which changes take an endpoint away that gets traffic: those are published soonest.

use std::sync::Arc;

use meshlite_snapshot::{Service, ServiceType, TrafficPolicy};

use crate::{Slice, slice::Packed};

/// What a Service tells its slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terms {
    NoService,
    /// There is one, but nobody can say what it is.
    Unusable,
    /// It is an `ExternalName`.
    NoEndpoints,
    Endpoints {
        publish_not_ready: bool,
    },
}

impl Terms {
    pub(super) fn of(service: Option<&Option<Arc<Service>>>) -> Self {
        match service {
            None => Self::NoService,
            Some(None) => Self::Unusable,
            Some(Some(service)) if service.kind == ServiceType::ExternalName => Self::NoEndpoints,
            Some(Some(service)) => Self::Endpoints {
                publish_not_ready: service.publish_not_ready_addresses,
            },
        }
    }
}

/// Whether these slices have an endpoint that gets traffic on the terms before and gets none on the terms after.
pub(super) fn ends<'a, S: Iterator<Item = &'a Slice>>(
    before: Terms,
    after: Terms,
    slices: impl Fn() -> S,
) -> bool {
    let Terms::Endpoints { publish_not_ready } = before else {
        return false;
    };
    let stays = |endpoint: &Packed| match after {
        Terms::Endpoints {
            publish_not_ready: publishes,
        } => slices().any(|slice| {
            let mut same = slice.at(endpoint.address()).iter();
            same.any(|now| now.is_ready(publishes))
        }),
        Terms::NoService | Terms::Unusable | Terms::NoEndpoints => false,
    };
    // Without its Service, what drains gets no traffic either; with it, whether it drains is no term.
    let ends_all = !matches!(after, Terms::Endpoints { .. });
    slices().flat_map(Slice::endpoints).any(|endpoint| {
        let is_ready = endpoint.is_ready(publish_not_ready);
        (is_ready && !stays(endpoint)) || (ends_all && endpoint.drains())
    })
}

/// Whether an endpoint of a slice as it was before got traffic and gets none now. `after` is the slice as it is now, if
/// it still belongs to the Service; `others` are the Service's other slices.
///
/// What drains (serving and terminating, but not ready) gets traffic only where nothing is ready: in the whole
/// Service, or on the endpoint's node where traffic stays on its node.
pub(super) fn is_lost<'a, S: Iterator<Item = &'a Slice>>(
    service: &Service,
    before: &'a Slice,
    after: Option<&'a Slice>,
    others: impl Fn() -> S,
) -> bool {
    if service.kind == ServiceType::ExternalName {
        return false;
    }
    let is_ready = |endpoint: &Packed| endpoint.is_ready(service.publish_not_ready_addresses);
    let has = |slice: &Slice, address, holds: fn(&Packed) -> bool| {
        let mut same = slice.at(address).iter();
        same.any(|endpoint| is_ready(endpoint) || holds(endpoint))
    };
    let stays = |endpoint: &Packed, holds| {
        let mut now = after.into_iter().chain(others());
        now.any(|slice| has(slice, endpoint.address(), holds))
    };
    let endpoints = before.endpoints();
    if endpoints
        .iter()
        .any(|endpoint| is_ready(endpoint) && !stays(endpoint, |_| false))
    {
        return true;
    }
    let stays_local = [
        service.internal_traffic_policy,
        service.external_traffic_policy,
    ]
    .contains(&TrafficPolicy::Local);
    let is_last = |drained: &Packed| {
        let mut all = endpoints.iter().chain(others().flat_map(Slice::endpoints));
        !all.any(|other| is_ready(other) && (!stays_local || other.node() == drained.node()))
    };
    endpoints
        .iter()
        .any(|endpoint| endpoint.drains() && !stays(endpoint, Packed::drains) && is_last(endpoint))
}
