//! The listeners that every Ingress of our class is served on.

use std::sync::Arc;

use meshlite_snapshot::{
    Listener, ListenerProtocol, Name, Resource, ResourceType, TlsPolicy, TlsVersion,
};

use super::keyring::Keyring;
use crate::{
    Delta, ObjectKey, Settings,
    report::{Book, Findings, Unit},
};

/// HTTP and HTTPS, both always: without any certificate, HTTPS answers with the default one.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) class: String,
    pub(super) http: Name,
    pub(super) https: Name,
    /// The Secret with the certificate for server names that nothing else serves, where one is set.
    default_secret: Option<ObjectKey>,
}

impl Listeners {
    /// The listeners of the class; none where it cannot name them.
    pub(super) fn new(settings: &Settings, findings: &mut Findings) -> Option<Self> {
        let class = settings.ingress_class.as_str();
        let names = ["http", "https"].map(|part| {
            let mut about = findings.about_cluster("IngressClass", class);
            about.resource_name(&[class, part])
        });
        let [Some(http), Some(https)] = names else {
            return None;
        };
        let default = settings.default_certificate.as_ref().map(Name::as_str);
        Some(Self {
            class: class.to_owned(),
            http,
            https,
            default_secret: default.map(|setting| {
                let (namespace, name) = setting.split_once('/').unwrap_or(("", setting));
                ObjectKey::new(namespace, name)
            }),
        })
    }

    pub(super) const fn default_secret(&self) -> Option<&ObjectKey> {
        self.default_secret.as_ref()
    }

    /// Hands out both.
    pub(super) fn compile(
        &self,
        settings: &Settings,
        keyring: &Keyring,
        delta: &mut Delta,
        book: &mut Book,
    ) {
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
                default_certificate: self.default_certificate(keyring, book),
            }),
        };
        for (name, listener) in [(&self.http, http), (&self.https, https)] {
            let key = (ResourceType::Listener, name.clone());
            let listener = Resource::Listener(Arc::new(listener));
            delta.resources.insert(key, Some(listener));
        }
    }

    /// The default certificate, where one is set and good.
    fn default_certificate(&self, keyring: &Keyring, book: &mut Book) -> Option<Name> {
        let key = self.default_secret.as_ref()?;
        let mut findings = Findings::default();
        let found = match keyring.get(key) {
            Ok((name, _)) => Some(name),
            Err((reason, problem)) => {
                let message =
                    format!("{problem}; as the default certificate, a self-signed one is served");
                findings.about("Secret", key).error("", reason, message);
                None
            }
        };
        book.replace(Unit::Listeners, findings);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_cannot_name_a_listener_is_a_finding() {
        let mut findings = Findings::default();
        let settings = Settings {
            ingress_class: "two words".into(),
            ..Settings::default()
        };
        assert!(Listeners::new(&settings, &mut findings).is_none());
        let findings = findings.into_sorted();
        assert!(
            findings
                .iter()
                .all(|finding| finding.object.kind == "IngressClass")
        );
        assert_eq!(findings.len(), 2);
    }
}
