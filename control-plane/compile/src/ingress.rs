//! Ingresses: each is read on its own, then each host gets one table from all that speak of it.

mod backend;
mod class;
mod host;
mod path;
mod read;
mod table;
mod tls;

use std::collections::BTreeMap;

use k8s_openapi::{api::networking::v1 as k8s, jiff::Timestamp};
use meshlite_snapshot::{
    Cluster, Listener, ListenerProtocol, Name, RouteTable, Service, Table, TlsPolicy, TlsSecret,
    TlsVersion,
};

use crate::{Inputs, ObjectKey, Settings, report::Findings};

/// What all Ingresses together mean.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(crate) listeners: BTreeMap<Name, Listener>,
    pub(crate) route_tables: BTreeMap<Name, RouteTable>,
    pub(crate) clusters: BTreeMap<Name, Cluster>,
    pub(crate) tls_secrets: BTreeMap<Name, TlsSecret>,
}

/// The listeners that every Ingress of our class is served on.
struct Listeners {
    http: Name,
    https: Name,
}

/// What the Ingresses of our class mean.
pub(crate) fn compile(
    inputs: &Inputs,
    services: &Table<Service>,
    settings: &Settings,
    findings: &mut Findings,
) -> Compiled {
    let class = settings.ingress_class.as_str();
    let names = ["http", "https"].map(|part| {
        findings
            .about_cluster("IngressClass", class)
            .resource_name(&[class, part])
    });
    let [Some(http), Some(https)] = names else {
        return Compiled::default();
    };
    let listeners = Listeners { http, https };

    let mut ingresses = Vec::new();
    for (key, object) in ours(inputs, settings, findings) {
        let backends = backend::Backends { inputs, services };
        let mut about = findings.about("Ingress", key);
        ingresses.push(read::ingress(key, object, &backends, &mut about));
    }

    let (route_tables, clusters) = table::tables(&ingresses, &listeners, class, findings);
    let tls = tls::secrets(&ingresses, inputs, &listeners, settings, findings);
    Compiled {
        listeners: both(listeners, tls.default_certificate, settings),
        route_tables,
        clusters,
        tls_secrets: tls.secrets,
    }
}

/// The Ingresses of our class, the oldest first: where two disagree, the first one wins.
pub(crate) fn ours<'a>(
    inputs: &'a Inputs,
    settings: &Settings,
    findings: &mut Findings,
) -> Vec<(&'a ObjectKey, &'a k8s::Ingress)> {
    let classes = class::Classes::new(inputs, settings);
    let mut ours: Vec<_> = inputs
        .ingresses
        .iter()
        .filter(|(key, object)| classes.serves(object, &mut findings.about("Ingress", key)))
        .map(|(key, object)| (key, &**object))
        .collect();
    ours.sort_by_key(|(key, object)| (created(object), *key));
    ours
}

/// When an Ingress was made. One that does not say so, as in a manifest, counts as the youngest.
fn created(object: &k8s::Ingress) -> (bool, Option<Timestamp>) {
    let created = object.metadata.creation_timestamp.as_ref();
    (created.is_none(), created.map(|time| time.0))
}

/// HTTP and HTTPS, both always: without any certificate, HTTPS answers with the default one.
fn both(
    names: Listeners,
    default_certificate: Option<Name>,
    settings: &Settings,
) -> BTreeMap<Name, Listener> {
    let http = Listener {
        addresses: vec![],
        port: 80,
        proxy_port: settings.http_proxy_port,
        protocol: ListenerProtocol::Http,
        tls: None,
    };
    let https = Listener {
        addresses: vec![],
        port: 443,
        proxy_port: settings.https_proxy_port,
        protocol: ListenerProtocol::Https,
        tls: Some(TlsPolicy {
            min_version: TlsVersion::default(),
            default_certificate,
        }),
    };
    [(names.http, http), (names.https, https)].into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_class_that_cannot_name_a_listener_is_a_finding() {
        let mut findings = Findings::default();
        let settings = Settings {
            ingress_class: "two words".into(),
            ..Settings::default()
        };
        let services = Arc::default();
        let compiled = compile(&Inputs::default(), &services, &settings, &mut findings);
        assert!(compiled.listeners.is_empty());
        let findings = findings.into_sorted();
        assert!(
            findings
                .iter()
                .all(|finding| finding.object.kind == "IngressClass")
        );
        assert_eq!(findings.len(), 2);
    }
}
