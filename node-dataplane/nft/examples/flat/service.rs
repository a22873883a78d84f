//! What is balanced, and the elements that stand for it.

use std::net::Ipv4Addr;

use meshlite_nft::{Data, Element, Field, Name, Value};

/// What is balanced.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Where clients connect.
    pub(crate) address: Ipv4Addr,
    /// IANA number of TCP or UDP.
    pub(crate) protocol: u8,
    /// Where clients connect.
    pub(crate) port: u16,
    /// Where their connections go. None: they are refused.
    pub(crate) endpoints: Vec<(Ipv4Addr, u16)>,
    /// Whether a client stays with its endpoint.
    pub(crate) sticky: bool,
    /// The first and last address of the range of those who may connect; `None`: all.
    pub(crate) sources: Option<(Ipv4Addr, Ipv4Addr)>,
}

/// How many endpoints a service has, and whether it is sticky: what its chain depends on.
pub(crate) fn kind(service: &Service) -> (usize, bool) {
    (service.endpoints.len(), service.sticky)
}

pub(crate) fn vip_fields(service: &Service) -> [Field; 3] {
    [
        service.address.into(),
        Field::Protocol(service.protocol),
        Field::Port(service.port),
    ]
}

/// The key of a service.
pub(crate) fn vip(service: &Service) -> Value {
    Value::concat(&vip_fields(service))
}

pub(crate) fn slot_key(service: &Service, slot: u32) -> Value {
    let [address, protocol, port] = vip_fields(service);
    Value::concat(&[address, protocol, port, Field::Mark(slot)])
}

pub(crate) fn slot_element(
    service: &Service,
    slot: u32,
    (address, port): (Ipv4Addr, u16),
) -> Element {
    let endpoint = Value::concat(&[address.into(), Field::Port(port)]);
    Element::mapping(slot_key(service, slot), Data::Value(endpoint))
}

pub(crate) fn slots(service: &Service) -> impl Iterator<Item = Element> {
    let slots = (0..).zip(&service.endpoints);
    slots.map(move |(slot, endpoint)| slot_element(service, slot, *endpoint))
}

pub(crate) fn allowed(service: &Service) -> Option<Element> {
    let (first, last) = service.sources?;
    let key = |source: Ipv4Addr| {
        let [address, protocol, port] = vip_fields(service);
        Value::concat(&[address, protocol, port, source.into()])
    };
    Some(Element::concat_range(key(first), key(last)))
}

#[expect(clippy::expect_used, reason = "the names are this example's own")]
pub(crate) fn text(name: &str) -> Name {
    name.parse().expect("a name")
}
