//! Defaults and validation of one object, as an API server does them, in its words.

mod endpoints;
mod ingress;
mod ingress_class;
mod ip;
mod meta;
mod names;
mod node;
mod path;
mod pod;
mod report;
mod secret;
mod service;
mod workload;

use std::sync::Arc;

use crate::{Object, Problem};
use path::Path;
use report::Report;

/// Fills in what an API server would and says what is wrong.
///
/// What belongs to the whole cluster (addresses, node ports, duplicates) is not decided here but in
/// [`admit`](crate::admit::admit). More lenient than Kubernetes in one thing: loopback addresses are accepted, because
/// in file mode endpoints and virtual IPs may live on one machine.
pub fn default_and_validate(object: &mut Object) -> Vec<Problem> {
    let mut report = Report::default();
    meta::default_and_validate(object, &mut report);
    match object {
        Object::Service(service) => {
            let service = Arc::make_mut(service);
            service::default(service);
            service::validate(service, &mut report);
        }
        Object::Endpoints(endpoints) => {
            let endpoints = Arc::make_mut(endpoints);
            endpoints::default_endpoints(endpoints);
            endpoints::validate_endpoints(endpoints, &mut report);
        }
        Object::EndpointSlice(slice) => {
            let slice = Arc::make_mut(slice);
            endpoints::default_slice(slice);
            endpoints::validate_slice(slice, &mut report);
        }
        Object::Ingress(ingress) => ingress::validate(ingress, &mut report),
        Object::IngressClass(class) => {
            let class = Arc::make_mut(class);
            ingress_class::default(class);
            ingress_class::validate(class, &mut report);
        }
        Object::Secret(secret) => {
            let secret = Arc::make_mut(secret);
            secret::default(secret);
            secret::validate(secret, &mut report);
        }
        Object::Pod(pod) => {
            let pod = Arc::make_mut(pod);
            pod::default(pod);
            pod::validate(pod, &mut report);
        }
        Object::Node(node) => node::validate(node, &mut report),
        Object::Namespace(_) => {}
        Object::Deployment(deployment) => {
            workload::default_and_validate(&mut Arc::make_mut(deployment).spec, &mut report);
        }
        Object::StatefulSet(set) => {
            workload::default_and_validate(&mut Arc::make_mut(set).spec, &mut report);
        }
    }
    report.into_problems()
}

/// The transport protocols that Kubernetes knows.
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

fn validate_protocol(protocol: Option<&str>, at: Path<'_>, report: &mut Report) {
    match protocol {
        None | Some("") => report.required(at, ""),
        Some(protocol) => report.supported(at, protocol, &PROTOCOLS),
    }
}

/// A string that is not empty: in Kubernetes' API an empty one means that the field is absent.
fn present(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
