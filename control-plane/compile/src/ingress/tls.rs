//! Which certificate is served for which server name.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use meshlite_snapshot::{HostMatch, Name, SniBinding, TlsSecret};

use super::{
    Listeners,
    read::{Request, TlsRequest},
    table::shown,
};
use crate::{
    Inputs, ObjectKey, Settings,
    report::{About, Findings, resource_name},
    secret::{self, Material},
};

/// The Secrets that the ingress needs, and no others.
pub(super) struct Secrets {
    pub(super) secrets: BTreeMap<Name, TlsSecret>,
    /// The certificate for server names that none of them serves, where one is set and good.
    pub(super) default_certificate: Option<Name>,
}

/// The Secrets by name, each read once.
struct Keyring<'a> {
    inputs: &'a Inputs,
    read: BTreeMap<ObjectKey, Result<(Name, Material), Problem>>,
}

/// Why a Secret cannot be used: reason and message.
type Problem = (&'static str, String);

/// The Secrets that these requests name. Requests come oldest first.
pub(super) fn secrets(
    requests: &[Request<'_>],
    inputs: &Inputs,
    listeners: &Listeners,
    settings: &Settings,
    findings: &mut Findings,
) -> Secrets {
    let mut keyring = Keyring {
        inputs,
        read: BTreeMap::new(),
    };
    let mut owners = Owners::default();
    for request in requests {
        let mut about = findings.about("Ingress", request.key);
        for tls in &request.tls {
            let secret = ObjectKey::new(request.key.namespace.as_str(), tls.secret);
            if let Err((reason, problem)) = keyring.get(&secret) {
                about.error(
                    format!("spec.tls[{}].secretName", tls.index),
                    reason,
                    format!("{problem}; the default certificate is served"),
                );
            }
            // A host is its owner's, whether or not the owner's Secret is good: a certificate that breaks for a
            // moment must not hand the host to somebody else.
            owners.claim(request.key, tls, &secret, &mut about);
        }
    }

    let mut secrets: BTreeMap<Name, TlsSecret> = BTreeMap::new();
    for (secret, hosts) in owners.hosts_by_secret() {
        let Ok((name, material)) = keyring.get(&secret) else {
            continue;
        };
        let bindings = hosts.into_iter().map(|host| SniBinding {
            listener: listeners.https.clone(),
            host,
        });
        secrets.insert(name.clone(), tls_secret(material, bindings.collect()));
    }
    let default_certificate = default_certificate(&mut keyring, settings, &mut secrets, findings);
    Secrets {
        secrets,
        default_certificate,
    }
}

/// Who owns each server name: the first that claimed it.
#[derive(Default)]
struct Owners<'a>(BTreeMap<HostMatch, (&'a ObjectKey, ObjectKey)>);

impl<'a> Owners<'a> {
    fn claim(
        &mut self,
        ingress: &'a ObjectKey,
        tls: &TlsRequest<'_>,
        secret: &ObjectKey,
        about: &mut About<'_>,
    ) {
        for (index, host) in &tls.hosts {
            match self.0.entry(host.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert((ingress, secret.clone()));
                }
                Entry::Occupied(entry) => {
                    let (owner, served) = entry.get();
                    if served == secret {
                        continue;
                    }
                    let who = if *owner == ingress {
                        "an entry before it".to_owned()
                    } else {
                        format!("Ingress {owner}, which comes first by age or else by name,")
                    };
                    about.error(
                        tls.host_field(*index),
                        "Conflict",
                        format!("{who} serves {} with Secret {served}", shown(host)),
                    );
                }
            }
        }
    }

    fn hosts_by_secret(self) -> BTreeMap<ObjectKey, BTreeSet<HostMatch>> {
        let mut by_secret: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (host, (_, secret)) in self.0 {
            by_secret.entry(secret).or_default().insert(host);
        }
        by_secret
    }
}

impl Keyring<'_> {
    fn get(&mut self, key: &ObjectKey) -> &Result<(Name, Material), Problem> {
        self.read.entry(key.clone()).or_insert_with(|| {
            let name = resource_name(&[&key.namespace, &key.name])
                .map_err(|error| ("InvalidName", error.to_string()))?;
            let secret = self
                .inputs
                .secrets
                .get(key)
                .ok_or_else(|| ("SecretNotFound", format!("there is no Secret {key}")))?;
            match secret::material(secret) {
                Ok(material) => Ok((name, material)),
                Err(problem) => Err((
                    "InvalidSecret",
                    format!("Secret {key} is not usable: {problem}"),
                )),
            }
        })
    }
}

fn default_certificate(
    keyring: &mut Keyring<'_>,
    settings: &Settings,
    secrets: &mut BTreeMap<Name, TlsSecret>,
    findings: &mut Findings,
) -> Option<Name> {
    let setting = settings.default_certificate.as_ref()?;
    let (namespace, name) = setting
        .as_str()
        .split_once('/')
        .unwrap_or(("", setting.as_str()));
    let key = ObjectKey::new(namespace, name);
    match keyring.get(&key) {
        Ok((name, material)) => {
            secrets
                .entry(name.clone())
                .or_insert_with(|| tls_secret(material, vec![]));
            Some(name.clone())
        }
        Err((reason, problem)) => {
            let message =
                format!("{problem}; as the default certificate, a self-signed one is served");
            findings.about("Secret", &key).error("", reason, message);
            None
        }
    }
}

fn tls_secret(material: &Material, bindings: Vec<SniBinding>) -> TlsSecret {
    TlsSecret {
        certificate_chain: material.certificate_chain.clone(),
        private_key: material.private_key.clone(),
        bindings,
    }
}
