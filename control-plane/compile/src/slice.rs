//! One EndpointSlice, trimmed to what data planes need and packed.

mod interner;
mod ports;

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::discovery::v1 as k8s;
use meshlite_snapshot::{AddressFamily, Endpoint, EndpointPort};

pub use self::interner::Interner;

use self::interner::Place;
use crate::{report::About, values};

/// The label that names a slice's Service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// An EndpointSlice as the compiler keeps it: read once, about 50 bytes for each endpoint with a target.
///
/// What is wrong with the slice is part of it, and is said only where the slice has an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The Service that the slice says it belongs to.
    service: Option<Box<str>>,
    /// The family, or what is written in its place.
    family: Result<AddressFamily, Box<str>>,
    ports: Box<[EndpointPort]>,
    /// Sorted by address. Entries of one address stay in the slice's order.
    endpoints: Box<[Packed]>,
    targets: Targets,
    problems: Box<[Problem]>,
}

/// An endpoint. What few endpoints have is behind one pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    address: IpAddr,
    ready: bool,
    serving: bool,
    terminating: bool,
    /// Where its target's name ends, in bytes. It begins where that of the endpoint before it ends.
    target_end: u32,
    /// None where neither node nor zone is known.
    place: Option<Arc<Place>>,
    rare: Option<Box<Rare>>,
}

/// The names of the targets of all endpoints of a slice: allocated one by one, each would cost a pointer and padding more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Targets {
    /// What all of them begin with: the name of a workload.
    prefix: Box<str>,
    /// The rest of each, one after the other.
    rests: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rare {
    hostname: Option<Box<str>>,
    hint_zones: Box<[Arc<str>]>,
    hint_nodes: Box<[Arc<str>]>,
}

/// A part of the slice that is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    field: Box<str>,
    reason: &'static str,
    message: Box<str>,
}

// === impl Slice ===

impl Slice {
    /// Reads a slice. Names that many endpoints share are taken from `names`.
    pub fn read(slice: &k8s::EndpointSlice, names: &mut Interner) -> Self {
        let mut problems = Vec::new();
        let family =
            values::family(&slice.address_type).ok_or_else(|| slice.address_type.as_str().into());
        // Where there is no family, nothing of it is served, so nothing of it is kept.
        let (ports, (endpoints, targets)) = family.as_ref().map_or_else(
            |_| Default::default(),
            |family| {
                let ports = ports::ports(slice, &mut problems);
                (ports, endpoints(slice, *family, names, &mut problems))
            },
        );
        Self {
            service: service_of(slice).map(Into::into),
            family,
            ports: ports.into(),
            endpoints: endpoints.into(),
            targets,
            problems: problems.into(),
        }
    }

    /// The Service that the slice says it belongs to.
    pub(crate) fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// The family of all addresses, or what is written in its place.
    pub(crate) fn family(&self) -> Result<AddressFamily, &str> {
        match &self.family {
            Ok(family) => Ok(*family),
            Err(written) => Err(written),
        }
    }

    pub(crate) fn ports(&self) -> &[EndpointPort] {
        &self.ports
    }

    pub(crate) fn endpoints(&self) -> &[Packed] {
        &self.endpoints
    }

    /// The name of each endpoint's target; empty for none.
    pub(crate) fn targets(&self) -> impl Iterator<Item = String> {
        let Targets { prefix, rests } = &self.targets;
        let mut start = 0;
        self.endpoints.iter().map(move |endpoint| {
            let end = usize::try_from(endpoint.target_end).unwrap_or(usize::MAX);
            let rest = rests.get(start..end).unwrap_or_default();
            start = end;
            [prefix, rest].concat()
        })
    }

    /// The endpoints with this address.
    pub(crate) fn at(&self, address: IpAddr) -> &[Packed] {
        let start = self.endpoints.partition_point(|e| e.address < address);
        let rest = self.endpoints.get(start..).unwrap_or_default();
        let count = rest.partition_point(|e| e.address == address);
        rest.get(..count).unwrap_or_default()
    }

    /// Says what is wrong with ports and endpoints.
    pub(crate) fn report(&self, about: &mut About<'_>) {
        for problem in &self.problems {
            about.error(&*problem.field, problem.reason, &*problem.message);
        }
    }
}

// === impl Packed ===

impl Packed {
    pub(crate) const fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn node(&self) -> Option<&str> {
        self.place.as_ref()?.node.as_deref()
    }

    pub(crate) fn zone(&self) -> Option<&str> {
        self.place.as_ref()?.zone.as_deref()
    }

    /// Whether it may get new traffic.
    pub(crate) const fn is_ready(&self, publish_not_ready: bool) -> bool {
        self.ready || publish_not_ready
    }

    /// Whether it answers while it is being deleted.
    pub(crate) const fn drains(&self) -> bool {
        self.serving && self.terminating
    }

    /// The endpoint as it is handed out; where the Service publishes addresses that are not ready, all are.
    pub(crate) fn endpoint(&self, target: &str, publish_not_ready: bool) -> Endpoint {
        let rare = self.rare.as_deref();
        let place = self.place.as_deref();
        Endpoint {
            address: self.address,
            ready: self.is_ready(publish_not_ready),
            serving: self.serving,
            terminating: self.terminating,
            node: place.and_then(|place| place.node.clone()),
            zone: place.and_then(|place| place.zone.clone()),
            hostname: rare.and_then(|rare| rare.hostname.as_deref().map(Arc::from)),
            target: (!target.is_empty()).then(|| Arc::from(target)),
            hint_zones: rare.map_or_else(Vec::new, |rare| rare.hint_zones.to_vec()),
            hint_nodes: rare.map_or_else(Vec::new, |rare| rare.hint_nodes.to_vec()),
        }
    }
}

/// The Service that a slice says it belongs to.
fn service_of(slice: &k8s::EndpointSlice) -> Option<&str> {
    let labels = slice.metadata.labels.as_ref()?;
    let service = labels.get(SERVICE_NAME)?;
    (!service.is_empty()).then_some(service.as_str())
}

/// The endpoints, and the names of their targets.
fn endpoints(
    slice: &k8s::EndpointSlice,
    family: AddressFamily,
    names: &mut Interner,
    problems: &mut Vec<Problem>,
) -> (Vec<Packed>, Targets) {
    let listed = slice.endpoints.as_deref().unwrap_or_default();
    let mut read = Vec::with_capacity(listed.len());
    for (i, entry) in listed.iter().enumerate() {
        match address(entry, family) {
            Ok(address) => {
                let target = entry.target_ref.as_ref().and_then(|t| t.name.as_deref());
                read.push((packed(address, entry, names), target.unwrap_or_default()));
            }
            Err(problem) => problems.push(Problem {
                field: format!("endpoints[{i}].addresses").into(),
                reason: "InvalidAddress",
                message: problem.into(),
            }),
        }
    }
    // Stable, so that the order of one address's entries stays the slice's.
    read.sort_by_key(|(endpoint, _)| endpoint.address);
    read.dedup();
    let prefix = common_prefix(read.iter().map(|(_, target)| *target));
    let mut rests = String::new();
    let mut endpoints = Vec::with_capacity(read.len());
    for (mut endpoint, target) in read {
        rests.push_str(target.strip_prefix(prefix).unwrap_or_default());
        endpoint.target_end = u32::try_from(rests.len()).unwrap_or(u32::MAX);
        endpoints.push(endpoint);
    }
    let targets = Targets {
        prefix: prefix.into(),
        rests: rests.into(),
    };
    (endpoints, targets)
}

/// What all of these begin with.
fn common_prefix<'a>(mut texts: impl Iterator<Item = &'a str>) -> &'a str {
    let first = texts.next().unwrap_or_default();
    texts.fold(first, |prefix, text| {
        let mut both = prefix.char_indices().zip(text.chars());
        let differs = both.find(|((_, one), other)| one != other);
        let end = match differs {
            Some(((end, _), _)) => end,
            None => prefix.len().min(text.len()),
        };
        prefix.get(..end).unwrap_or_default()
    })
}

/// The first address; the others, where a slice has them, mean the same.
fn address(entry: &k8s::Endpoint, family: AddressFamily) -> Result<IpAddr, String> {
    let Some(text) = entry.addresses.first() else {
        return Err("an endpoint needs an address".to_owned());
    };
    let address = values::unicast(text)?;
    if AddressFamily::of(address) == family {
        Ok(address)
    } else {
        let family = values::family_name(family);
        Err(format!("{address} is not an {family} address"))
    }
}

fn packed(address: IpAddr, entry: &k8s::Endpoint, names: &mut Interner) -> Packed {
    let conditions = entry.conditions.as_ref();
    let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
    let rare = rare(entry, names);
    Packed {
        address,
        ready,
        serving: conditions.and_then(|c| c.serving).unwrap_or(ready),
        terminating: conditions.and_then(|c| c.terminating).unwrap_or(false),
        target_end: 0,
        place: names.place(entry.node_name.as_deref(), entry.zone.as_deref()),
        rare: (rare != Rare::default()).then(|| Box::new(rare)),
    }
}

fn rare(entry: &k8s::Endpoint, names: &mut Interner) -> Rare {
    let hints = entry.hints.as_ref();
    let zones = hints.and_then(|hints| hints.for_zones.as_deref());
    let nodes = hints.and_then(|hints| hints.for_nodes.as_deref());
    Rare {
        hostname: own(entry.hostname.as_ref()),
        hint_zones: zones
            .into_iter()
            .flatten()
            .filter_map(|zone| names.shared(Some(&zone.name)))
            .collect(),
        hint_nodes: nodes
            .into_iter()
            .flatten()
            .filter_map(|node| names.shared(Some(&node.name)))
            .collect(),
    }
}

fn own(text: Option<&String>) -> Option<Box<str>> {
    text.filter(|text| !text.is_empty())
        .map(|text| text.as_str().into())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1 as core;

    use super::*;

    fn endpoint(address: &str, target: Option<&str>) -> k8s::Endpoint {
        let target_ref = target.map(|name| core::ObjectReference {
            name: Some(name.to_owned()),
            ..core::ObjectReference::default()
        });
        k8s::Endpoint {
            addresses: vec![address.to_owned()],
            target_ref,
            ..k8s::Endpoint::default()
        }
    }

    #[test]
    fn each_endpoint_keeps_its_target_wherever_it_is_sorted() {
        let written = [
            ("10.0.0.9", Some("last")),
            ("10.0.0.2", None),
            ("10.0.0.1", Some("first")),
            ("10.0.0.1", Some("first")),
            ("10.0.0.1", Some("again")),
            ("10.0.0.3", Some("")),
        ];
        let slice = k8s::EndpointSlice {
            address_type: "IPv4".to_owned(),
            endpoints: Some(
                written
                    .map(|(address, name)| endpoint(address, name))
                    .into(),
            ),
            ..k8s::EndpointSlice::default()
        };
        let slice = Slice::read(&slice, &mut Interner::default());
        let endpoints = slice.endpoints().iter().zip(slice.targets());
        let read: Vec<_> = endpoints
            .map(|(endpoint, target)| endpoint.endpoint(&target, false))
            .map(|endpoint| (endpoint.address.to_string(), endpoint.target))
            .collect();
        let expected = [
            ("10.0.0.1", Some("first")),
            ("10.0.0.1", Some("again")),
            ("10.0.0.2", None),
            ("10.0.0.3", None),
            ("10.0.0.9", Some("last")),
        ];
        let expected = expected.map(|(address, name)| (address.to_owned(), name.map(Arc::from)));
        assert_eq!(read, expected);
        let same = slice.at("10.0.0.1".parse().unwrap());
        assert_eq!(same.len(), 2);
        assert!(slice.at("10.0.0.4".parse().unwrap()).is_empty());
    }
}
