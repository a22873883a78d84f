//! What one Ingress asks for in `tls`, and the Secrets that it names.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1 as k8s;
use meshlite_snapshot::HostMatch;

use super::host;
use crate::{ObjectKey, report::About};

/// The certificates that one Ingress asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Request {
    /// Each `spec.tls[index]` that names a Secret.
    pub(super) entries: Vec<(usize, ObjectKey)>,
    /// The server names that it claims. The first claim of a name comes first.
    pub(super) names: BTreeMap<HostMatch, Vec<Claim>>,
    /// Every Secret that it names.
    pub(super) secrets: BTreeSet<ObjectKey>,
    /// The server names that have TLS, with a Secret or with the default certificate.
    hosts: BTreeSet<HostMatch>,
}

/// That a server name be served with this Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    entry: usize,
    /// None where the hosts of the rules are meant.
    host: Option<usize>,
    pub(super) secret: ObjectKey,
}

impl Claim {
    /// The field's path.
    pub(super) fn field(&self) -> String {
        let entry = self.entry;
        match self.host {
            Some(host) => format!("spec.tls[{entry}].hosts[{host}]"),
            None => format!("spec.tls[{entry}]"),
        }
    }
}

impl Request {
    /// Reads `spec.tls[index]`. An entry that lists no hosts means those of the rules.
    pub(super) fn read_entry(
        &mut self,
        ingress: &ObjectKey,
        index: usize,
        entry: &k8s::IngressTLS,
        rule_hosts: &[&HostMatch],
        about: &mut About<'_>,
    ) {
        let listed = entry.hosts.as_deref().unwrap_or_default();
        let mut hosts = Vec::with_capacity(listed.len());
        for (i, text) in listed.iter().enumerate() {
            let problem = match host::host(text) {
                Ok(HostMatch::Any) => "a host of tls has a name".to_owned(),
                Ok(host) => {
                    hosts.push((Some(i), host));
                    continue;
                }
                Err(problem) => problem,
            };
            let field = format!("spec.tls[{index}].hosts[{i}]");
            about.error(field, "InvalidHost", problem);
        }
        if listed.is_empty() {
            hosts.extend(rule_hosts.iter().map(|host| (None, (*host).clone())));
        }
        self.hosts
            .extend(hosts.iter().map(|(_, host)| host.clone()));
        // Without a Secret, TLS is terminated with the default certificate, as it is anyway.
        let name = entry.secret_name.as_deref();
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return;
        };
        let secret = ObjectKey::new(&*ingress.namespace, name);
        self.secrets.insert(secret.clone());
        for (host, name) in hosts {
            self.names.entry(name).or_default().push(Claim {
                entry: index,
                host,
                secret: secret.clone(),
            });
        }
        self.entries.push((index, secret));
    }

    /// Whether a server name has TLS.
    pub(super) fn covers(&self, host: &HostMatch) -> bool {
        let wildcard = match host {
            HostMatch::Exact(name) => name
                .split_once('.')
                .map(|(_, domain)| HostMatch::OneLabel(domain.to_owned())),
            _ => None,
        };
        self.hosts.contains(host) || wildcard.is_some_and(|host| self.hosts.contains(&host))
    }

    /// Serves another server name as one that it claims.
    pub(super) fn stand_in(&mut self, other: &HostMatch, host: &HostMatch) {
        if self.hosts.contains(host) {
            self.hosts.insert(other.clone());
        }
        if let Some(claims) = self.names.get(host).cloned() {
            self.names.entry(other.clone()).or_insert(claims);
        }
    }
}
