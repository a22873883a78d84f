//! The endpoint group that an EndpointSlice of a Service is.

use meshlite_snapshot::{EndpointGroup, Name, Service, ServiceType};

use crate::{ObjectKey, Slice, report::About, values};

/// What a slice of this Service means; nothing where the Service has no endpoints, or the addresses no family.
pub(crate) fn group(
    key: &ObjectKey,
    slice: &Slice,
    service: &Service,
    about: &mut About<'_>,
) -> Option<(Name, EndpointGroup)> {
    let name = about.resource_name(&[&key.namespace, &service.name, &key.name])?;
    if service.kind == ServiceType::ExternalName {
        let message = "its Service is an ExternalName, which has no endpoints";
        about.warning("", "NoEndpointsWanted", message);
        return None;
    }
    let address_family = match slice.family() {
        Ok(family) => family,
        Err(written) => {
            let message = values::unsupported(written, &["IPv4", "IPv6"]);
            about.error("addressType", "UnsupportedValue", message);
            return None;
        }
    };
    slice.report(about);
    let publish_not_ready = service.publish_not_ready_addresses;
    let mut endpoints: Vec<_> = slice
        .endpoints()
        .iter()
        .zip(slice.targets())
        .map(|(endpoint, target)| endpoint.endpoint(&target, publish_not_ready))
        .collect();
    // Where all are ready, entries of one address may have become the same.
    endpoints.dedup();
    let group = EndpointGroup {
        namespace: key.namespace.clone(),
        service: service.name.clone(),
        slice: key.name.clone(),
        address_family,
        ports: slice.ports().to_vec(),
        endpoints,
    };
    Some((name, group))
}
