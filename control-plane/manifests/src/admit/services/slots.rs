//! What a Service needs: each address and node port as wanted, held and got.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use meshlite_snapshot::{AddressFamily, Protocol};

use super::{
    super::{
        AdmitSettings, NodePortAllocation, ServiceAllocation,
        families::{self, Families},
    },
    Claims,
};
use crate::Problem;

/// What one Service needs.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// None for an ExternalName.
    pub(super) families: Option<Families>,
    pub(super) headless: bool,
    pub(super) addresses: Vec<AddressSlot>,
    pub(super) ports: Vec<PortSlot>,
    /// What cannot be as it is written.
    pub(super) problems: Vec<Problem>,
}

/// One cluster IP.
#[derive(Debug)]
pub(super) struct AddressSlot {
    pub(super) field: &'static str,
    pub(super) family: AddressFamily,
    pub(super) wanted: Option<IpAddr>,
    pub(super) held: Option<IpAddr>,
    pub(super) got: Option<IpAddr>,
}

/// One node port.
#[derive(Debug)]
pub(super) struct PortSlot {
    pub(super) which: Which,
    /// The name of the Service port.
    name: String,
    pub(super) protocol: Protocol,
    /// The number of the Service port.
    pub(super) port: u16,
    pub(super) wanted: Option<u16>,
    pub(super) held: Option<u16>,
    pub(super) got: Option<u16>,
}

/// What a node port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The Service port at this index.
    Port(usize),
    /// Load balancers ask there whether the node has endpoints.
    HealthCheck,
}

/// What a Service asks for by number and another Service has.
#[derive(Debug)]
pub(super) struct Conflict {
    pub(super) field: String,
    pub(super) what: &'static str,
    pub(super) value: String,
    pub(super) owner: usize,
}

/// What this Service needs, none of it got yet.
pub(super) fn of(service: &Service, held: &ServiceAllocation, settings: &AdmitSettings) -> Slots {
    let Some(spec) = &service.spec else {
        return Slots::default();
    };
    if spec.type_.as_deref() == Some("ExternalName") {
        return Slots::default();
    }
    let mut families = families::decide(spec, held, &settings.service_cidrs);
    let mut problems = std::mem::take(&mut families.problems);
    let explicit: Vec<_> = families::explicit_ips(spec).collect();
    let headless = match (families::is_headless(spec), held.cluster_ips.first()) {
        (true, Some(ip)) => {
            problems.push(immutable("None", &ip.to_string()));
            false
        }
        (false, None) if held.headless && spec.type_.as_deref() == Some("ClusterIP") => {
            // A file that no longer says `None` gets an address; one that names an address would change it.
            if let Some(ip) = explicit.first() {
                problems.push(immutable(&ip.to_string(), "None"));
            }
            !explicit.is_empty()
        }
        (headless, _) => headless,
    };
    let addresses = families.order.iter().enumerate().map(|(i, family)| {
        let of_family = |ip: &&IpAddr| AddressFamily::of(**ip) == *family;
        AddressSlot {
            field: if i == 0 {
                "spec.clusterIP"
            } else {
                "spec.clusterIPs[1]"
            },
            family: *family,
            wanted: explicit.iter().find(of_family).copied(),
            held: held.cluster_ips.iter().find(of_family).copied(),
            got: None,
        }
    });
    Slots {
        headless,
        addresses: if headless {
            Vec::new()
        } else {
            addresses.collect()
        },
        ports: if headless {
            Vec::new()
        } else {
            ports(spec, held)
        },
        families: Some(families),
        problems,
    }
}

pub(super) fn immutable(wanted: &str, kept: &str) -> Problem {
    let message = format!("Invalid value: {wanted:?}: field is immutable; {kept} is kept");
    Problem::error("spec.clusterIP", "FieldValueInvalid", message)
}

fn ports(spec: &ServiceSpec, held: &ServiceAllocation) -> Vec<PortSlot> {
    let kind = spec.type_.as_deref();
    let is_load_balancer = kind == Some("LoadBalancer");
    let automatic = match kind {
        Some("NodePort") => true,
        Some("LoadBalancer") => spec.allocate_load_balancer_node_ports != Some(false),
        _ => return Vec::new(),
    };
    let ports = spec.ports.as_deref().unwrap_or_default();
    let asked_for = |node_port: u16| {
        ports
            .iter()
            .any(|port| port_number(port.node_port) == Some(node_port))
    };
    let held_ports = held_by(ports, &held.node_ports);
    let mut slots: Vec<_> = ports
        .iter()
        .zip(held_ports)
        .enumerate()
        .filter(|(_, (port, _))| automatic || port.node_port.is_some())
        .map(|(i, (port, held))| {
            let wanted = port_number(port.node_port);
            // What another port of this Service asks for is not this one's to keep.
            let held = held.filter(|held| wanted.is_some() || !asked_for(*held));
            PortSlot {
                which: Which::Port(i),
                name: port.name.clone().unwrap_or_default(),
                protocol: protocol(port.protocol.as_deref()),
                port: port_number(Some(port.port)).unwrap_or(0),
                wanted,
                held,
                got: None,
            }
        })
        .collect();
    if is_load_balancer && spec.external_traffic_policy.as_deref() == Some("Local") {
        slots.push(PortSlot {
            which: Which::HealthCheck,
            name: String::new(),
            protocol: Protocol::Tcp,
            port: 0,
            wanted: port_number(spec.health_check_node_port),
            held: held.health_check_node_port,
            got: None,
        });
    }
    slots
}

/// The node port that each port had: found by name, as in Kubernetes, else by number. Each is found once.
fn held_by(ports: &[ServicePort], held: &[NodePortAllocation]) -> Vec<Option<u16>> {
    let name = |port: &ServicePort, held: &NodePortAllocation| {
        port.name.as_deref().unwrap_or_default() == held.name
    };
    let number = |port: &ServicePort, held: &NodePortAllocation| port.port == i32::from(held.port);
    let is_only = ports.len() == 1;
    let mut left: Vec<_> = held.iter().collect();
    let mut found = vec![None; ports.len()];
    for round in 0..3 {
        for (port, found) in ports
            .iter()
            .zip(&mut found)
            .filter(|(_, found)| found.is_none())
        {
            let is_its = |held: &&NodePortAllocation| {
                let agrees = match round {
                    0 => name(port, held) && number(port, held),
                    1 => name(port, held) && (is_only || !held.name.is_empty()),
                    _ => number(port, held),
                };
                agrees && held.protocol == protocol(port.protocol.as_deref()).as_str()
            };
            if let Some(i) = left.iter().position(is_its) {
                *found = Some(left.remove(i).node_port);
            }
        }
    }
    found
}

/// A port number; an object that was not validated may hold anything.
pub(super) fn port_number(port: Option<i32>) -> Option<u16> {
    u16::try_from(port?).ok().filter(|port| *port != 0)
}

pub(super) fn protocol(name: Option<&str>) -> Protocol {
    match name {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

impl AddressSlot {
    /// Nobody chose it, and it is not there yet.
    pub(super) fn is_open(&self) -> bool {
        self.got.is_none() && self.wanted.is_none()
    }
}

impl PortSlot {
    pub(super) fn field(&self) -> String {
        match self.which {
            Which::Port(i) => format!("spec.ports[{i}].nodePort"),
            Which::HealthCheck => "spec.healthCheckNodePort".to_owned(),
        }
    }

    /// Nobody chose it, and it is not there yet.
    pub(super) fn is_open(&self) -> bool {
        self.got.is_none() && self.wanted.is_none()
    }
}

impl Slots {
    /// Takes what was held and is not asked to change, before anybody else's wishes.
    pub(super) fn claim_held(&mut self, claims: &mut Claims, owner: usize) {
        for slot in &mut self.addresses {
            slot.got = slot.held.filter(|held| claims.address(*held, owner));
        }
        for slot in &mut self.ports {
            slot.got = slot
                .held
                .filter(|held| slot.wanted.is_none_or(|wanted| wanted == *held))
                .filter(|held| claims.port(slot.protocol, *held, owner));
        }
        for slot in &self.addresses {
            if let (Some(wanted), Some(got)) = (slot.wanted, slot.got)
                && wanted != got
            {
                let (wanted, got) = (wanted.to_string(), got.to_string());
                self.problems.push(immutable(&wanted, &got));
            }
        }
    }

    /// What is asked for by number and belongs to another Service.
    pub(super) fn conflicts(&self, claims: &Claims) -> Vec<Conflict> {
        let addresses = self
            .addresses
            .iter()
            .filter(|slot| slot.got.is_none())
            .filter_map(|slot| {
                let ip = slot.wanted?;
                Some(Conflict {
                    field: slot.field.to_owned(),
                    what: "IP",
                    value: format!("{:?}", ip.to_string()),
                    owner: claims.address_owner(ip)?,
                })
            });
        let ports = self
            .ports
            .iter()
            .filter(|slot| slot.got.is_none())
            .filter_map(|slot| {
                let port = slot.wanted?;
                Some(Conflict {
                    field: slot.field(),
                    what: "port",
                    value: port.to_string(),
                    owner: claims.port_owner(slot.protocol, port)?,
                })
            });
        addresses.chain(ports).collect()
    }

    /// Takes what is asked for by number; a port that cannot be had falls back to what was held.
    pub(super) fn claim_explicit(&mut self, claims: &mut Claims, owner: usize) {
        for slot in self.addresses.iter_mut().filter(|slot| slot.got.is_none()) {
            slot.got = slot.wanted.filter(|ip| claims.address(*ip, owner));
        }
        for slot in self.ports.iter_mut().filter(|slot| slot.got.is_none()) {
            let Some(wanted) = slot.wanted else {
                continue;
            };
            slot.got = [Some(wanted), slot.held]
                .into_iter()
                .flatten()
                .find(|port| claims.port(slot.protocol, *port, owner));
        }
    }

    /// Gives back everything.
    pub(super) fn release(&mut self, claims: &mut Claims) {
        for ip in self.addresses.iter_mut().filter_map(|slot| slot.got.take()) {
            claims.release_address(ip);
        }
        for slot in &mut self.ports {
            if let Some(port) = slot.got.take() {
                claims.release_port(slot.protocol, port);
            }
        }
    }

    /// The node port of the port with the same number and another protocol: DNS over UDP and TCP share one.
    pub(super) fn same_number_as(&self, slot: &PortSlot) -> Option<u16> {
        self.ports
            .iter()
            .filter(|other| matches!(other.which, Which::Port(_)) && other.which != slot.which)
            .filter(|_| matches!(slot.which, Which::Port(_)))
            .find(|other| other.port == slot.port && other.protocol != slot.protocol)?
            .got
    }

    /// What to remember.
    pub(super) fn allocation(&self) -> ServiceAllocation {
        let mut allocation = ServiceAllocation {
            cluster_ips: self.addresses.iter().filter_map(|slot| slot.got).collect(),
            headless: self.headless,
            ..ServiceAllocation::default()
        };
        for slot in &self.ports {
            let Some(node_port) = slot.got else {
                continue;
            };
            match slot.which {
                Which::HealthCheck => allocation.health_check_node_port = Some(node_port),
                Which::Port(_) => allocation.node_ports.push(NodePortAllocation {
                    name: slot.name.clone(),
                    protocol: slot.protocol.to_string(),
                    port: slot.port,
                    node_port,
                }),
            }
        }
        allocation
    }
}
