//! How a Service weighs its endpoints: by what is written, and by what their load asks for.

mod rules;

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::core::v1 as k8s;
use meshlite_snapshot::{Balance, EndpointWeight, Service, ServiceType};

use self::rules::Rules;
use crate::{annotations, report::About, slice::Packed};

/// How much more or less than is written each endpoint of a Service should get because of its load, in thousandths;
/// 1,000 for one that is not listed.
pub type Factors = BTreeMap<IpAddr, u32>;

/// Weights of a Service's endpoints as they are written.
pub type Bases = BTreeMap<IpAddr, u16>;

/// The weight of an endpoint that nothing is said about, also to data planes.
const UNLISTED: u16 = 100;
/// Schedulers that choose without looking at weights, but for a weight of 0.
const BLIND: [&str; 3] = ["rr", "lc", "dh"];

/// How a Service weighs its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weighing {
    rules: Rules,
    by_load: bool,
}

impl Weighing {
    /// What the annotations of a Service ask for; nothing where they ask for nothing, or nobody would heed it.
    pub(crate) fn read(
        object: &k8s::Service,
        service: &Service,
        about: &mut About<'_>,
    ) -> Option<Self> {
        let annotations = object.metadata.annotations.as_ref()?;
        let written = annotations.get(annotations::WEIGHTS);
        let rules = written.map(|text| Rules::read(text, about));
        let weighing = Self {
            rules: rules.unwrap_or_default(),
            by_load: service.balance == Some(Balance::Load),
        };
        if weighing.rules.is_empty() && !weighing.by_load {
            return None;
        }
        let asked = if weighing.rules.is_empty() {
            annotations::BALANCE
        } else {
            annotations::WEIGHTS
        };
        if !service.l4 {
            let is_pending = service.cluster_ips.is_empty() && !service.headless;
            if !is_pending || service.kind == ServiceType::ExternalName {
                let message = "has no effect: no node serves a virtual IP of this Service";
                about.warning(annotations::field(asked), "NoEffect", message);
            }
            return None;
        }
        let scheduler = service.ipvs_scheduler.as_deref();
        if let Some(blind) = scheduler.filter(|scheduler| BLIND.contains(scheduler)) {
            about.warning(
                annotations::field(annotations::IPVS_SCHEDULER),
                "WeightsIgnored",
                format!(
                    "{blind} does not look at weights, for which {asked} asks; write wrr or wlc, or remove one of them"
                ),
            );
        }
        Some(weighing)
    }

    pub(crate) const fn by_load(&self) -> bool {
        self.by_load
    }

    /// The weights of these endpoints as they are written. An address that is there twice has the higher one.
    pub(crate) fn bases(&self, endpoints: &[&Packed]) -> Bases {
        let mut bases = Bases::new();
        for endpoint in endpoints {
            let weight = self.rules.weight(endpoint).unwrap_or(UNLISTED);
            let base = bases.entry(endpoint.address()).or_insert(weight);
            *base = weight.max(*base);
        }
        bases
    }
}

/// What data planes are told: load changes what is written, but neither takes an endpoint all it has nor gives one
/// anything that is to have nothing.
pub(crate) fn weights(bases: &Bases, factors: Option<&Factors>) -> Vec<EndpointWeight> {
    let weight = |(address, base): (&IpAddr, &u16)| {
        let factor = factors.and_then(|factors| factors.get(address));
        EndpointWeight {
            address: *address,
            port: None,
            weight: factor.map_or(*base, |factor| times(*base, *factor)),
        }
    };
    let all = bases.iter().map(weight);
    all.filter(|endpoint| endpoint.weight != UNLISTED).collect()
}

fn times(base: u16, thousandths: u32) -> u16 {
    if base == 0 {
        return 0;
    }
    let product = (u64::from(base) * u64::from(thousandths) + 500) / 1000;
    u16::try_from(product).unwrap_or(u16::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_neither_starves_an_endpoint_nor_wakes_one_that_is_to_have_nothing() {
        for (base, factor, expected) in [
            (100, 667, 67),
            (100, 2_000, 200),
            (1, 125, 1),
            (1, 0, 1),
            (0, 8_000, 0),
            (60_000, 8_000, u16::MAX),
            (u16::MAX, u32::MAX, u16::MAX),
        ] {
            assert_eq!(times(base, factor), expected, "{base} x {factor}");
        }
    }

    #[test]
    fn only_what_differs_from_the_weight_of_all_others_is_told() {
        let [a, b, c] = [1, 2, 3].map(|n| IpAddr::from([10, 0, 0, n]));
        let bases = Bases::from([(a, 100), (b, 50), (c, 100)]);
        let factors = Factors::from([(b, 2_000), (c, 500)]);
        let told: Vec<_> = weights(&bases, Some(&factors))
            .into_iter()
            .map(|endpoint| (endpoint.address, endpoint.weight))
            .collect();
        assert_eq!(told, [(c, 50)]);
    }
}
