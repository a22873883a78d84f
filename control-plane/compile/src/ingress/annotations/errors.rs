//! Where requests go besides the backends: what answers in their place, and what gets a copy.

use meshlite_snapshot::{ErrorPages, Filter, WeightedCluster};

use super::{Asked, reference, written::Written};
use crate::{ObjectKey, ingress::backend::PortRef, values};

pub(super) fn read(written: &mut Written<'_, '_>, asked: &mut Asked) {
    let default = default_backend(written, asked);
    asked.policy.default_backend.clone_from(&default);
    if let Some(statuses) = written.value("custom-http-errors") {
        let read: Result<Vec<u16>, &str> = statuses
            .list()
            .map(|text| match text.parse() {
                Ok(status @ 400..=599) => Ok(status),
                _ => Err(text),
            })
            .collect();
        match (read, default) {
            (Ok(statuses), Some(cluster)) => {
                asked.policy.error_pages = Some(ErrorPages { statuses, cluster });
            }
            (Ok(_), None) => written.unsupported(
                &statuses,
                "needs the annotation default-backend: there is no default backend of all Ingresses",
            ),
            (Err(bad), _) => {
                written.invalid(&statuses, &format!("holds {bad:?}, which is not 400 to 599"));
            }
        }
    }
    mirror(written, asked);
}

/// The first port of a Service in the Ingress's namespace.
fn default_backend(
    written: &mut Written<'_, '_>,
    asked: &mut Asked,
) -> Option<meshlite_snapshot::Name> {
    let value = written.value("default-backend")?;
    let service = ObjectKey::new(&*written.ingress.namespace, value.text);
    let target = values::is_dns_subdomain(value.text)
        .then(|| reference::target(service, PortRef::First))
        .flatten();
    let Some(target) = target else {
        written.invalid(&value, "is not the name of a Service");
        return None;
    };
    Some(asked.target(value.field, target))
}

/// Copies go to a Service of the same namespace only: to any other place, whoever writes an Ingress could send what the
/// ingress may reach and they may not.
fn mirror(written: &mut Written<'_, '_>, asked: &mut Asked) {
    let Some(value) = written.value("mirror-target") else {
        return;
    };
    let service = reference::url(value.text).and_then(|url| url.service());
    match service {
        Some(target) if target.service.namespace == written.ingress.namespace => {
            let cluster = asked.target(value.field, target);
            asked
                .filters
                .push(Filter::Mirror(WeightedCluster { cluster, weight: 1 }));
        }
        _ => written.unsupported(
            &value,
            &format!(
                "is not a Service of this namespace; write http://NAME.{}.svc[:PORT]",
                written.ingress.namespace
            ),
        ),
    }
}
