//! The ports of an EndpointSlice.

use k8s_openapi::api::discovery::v1 as k8s;
use meshlite_snapshot::EndpointPort;

use super::Problem;
use crate::values;

/// The ports in their order; those that cannot be read, or that come twice, are left out.
pub(super) fn ports(slice: &k8s::EndpointSlice, problems: &mut Vec<Problem>) -> Vec<EndpointPort> {
    let listed = slice.ports.as_deref().unwrap_or_default();
    let mut ports: Vec<EndpointPort> = Vec::with_capacity(listed.len());
    for (i, entry) in listed.iter().enumerate() {
        match port(entry, &ports) {
            Ok(port) => ports.push(port),
            Err((field, reason, message)) => problems.push(Problem {
                field: format!("ports[{i}].{field}").into(),
                reason,
                message: message.into(),
            }),
        }
    }
    ports
}

/// Reads one port, or says of which of its fields what is wrong.
fn port(
    entry: &k8s::EndpointPort,
    before: &[EndpointPort],
) -> Result<EndpointPort, (&'static str, &'static str, String)> {
    let protocol = values::protocol(entry.protocol.as_deref())
        .map_err(|problem| ("protocol", "UnsupportedValue", problem))?;
    let port = match entry.port {
        None => None,
        Some(number) => Some(
            values::port(number)
                .ok_or_else(|| ("port", "InvalidPort", format!("{number} is not a port")))?,
        ),
    };
    let name = entry.name.clone().unwrap_or_default();
    if before
        .iter()
        .any(|other| other.name == name && other.protocol == protocol)
    {
        let message = format!("there is a {protocol} port named {name:?} before it");
        return Err(("name", "Duplicate", message));
    }
    Ok(EndpointPort {
        name,
        protocol,
        port,
        app_protocol: values::non_empty(entry.app_protocol.as_ref()),
    })
}
