//! Services and their EndpointSlices, joined.

use std::{collections::BTreeMap, sync::Arc};

use meshlite_snapshot::{EndpointGroup, Service, Table};

use crate::{Inputs, ObjectKey, endpoints, report::Findings, service, slice::SERVICE_NAME, table};

type Slices = BTreeMap<ObjectKey, Arc<crate::Slice>>;

/// Services and their endpoints, one Service at a time.
pub(crate) fn services(
    inputs: &Inputs,
    slices: &Slices,
    findings: &mut Findings,
) -> (Table<Service>, Table<EndpointGroup>) {
    let slices = slices_by_service(slices, findings);
    let mut slices = slices.as_slice();
    let mut services = Vec::with_capacity(inputs.services.len());
    let mut groups = Vec::new();
    for (key, object) in &inputs.services {
        let orphans = split_while(&mut slices, |slice| slice.service() < id(key));
        report(orphans, findings);
        let own = split_while(&mut slices, |slice| slice.service() == id(key));
        let mut about = findings.about("Service", key);
        let Some((name, service)) = service::service(key, object, &mut about) else {
            continue;
        };
        for slice in own {
            let mut about = findings.about("EndpointSlice", slice.key);
            groups.extend(endpoints::group(
                slice.key,
                slice.object,
                &service,
                &mut about,
            ));
        }
        services.push((name, service));
    }
    report(slices, findings);
    (table(services), table(groups))
}

/// A slice and the Service that it says it belongs to.
struct Slice<'a> {
    key: &'a ObjectKey,
    object: &'a crate::Slice,
    service: &'a str,
}

impl<'a> Slice<'a> {
    fn service(&self) -> (&'a str, &'a str) {
        (&self.key.namespace, self.service)
    }
}

/// Says of slices that their Service is not there. As with kube-proxy, they have no effect.
fn report(orphans: &[Slice<'_>], findings: &mut Findings) {
    for slice in orphans {
        let (namespace, service) = slice.service();
        findings.about("EndpointSlice", slice.key).warning(
            format!("metadata.labels[{}]", SERVICE_NAME),
            "ServiceNotFound",
            format!("there is no Service {namespace}/{service}"),
        );
    }
}

/// The slices in the order of their Services, so that walking both is enough to join them.
fn slices_by_service<'a>(all: &'a Slices, findings: &mut Findings) -> Vec<Slice<'a>> {
    let mut slices = Vec::new();
    for (key, object) in all {
        if let Some(service) = object.service() {
            slices.push(Slice {
                key,
                object,
                service,
            });
        } else {
            findings.about("EndpointSlice", key).warning(
                "metadata.labels",
                "NoService",
                format!("without the label {} it has no effect", SERVICE_NAME),
            );
        }
    }
    // Stable, so that the slices of one Service stay in the order of their names.
    slices.sort_by_key(Slice::service);
    slices
}

fn id(key: &ObjectKey) -> (&str, &str) {
    (&key.namespace, &key.name)
}

/// Takes from the front what the condition holds for.
fn split_while<'a, T>(rest: &mut &'a [T], holds: impl Fn(&T) -> bool) -> &'a [T] {
    let count = rest.iter().take_while(|item| holds(item)).count();
    let (front, back) = rest.split_at(count);
    *rest = back;
    front
}
