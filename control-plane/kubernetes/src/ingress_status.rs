//! What is written to an Ingress: the addresses where it is reached, and how far it is programmed. One patch for both.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use serde_json::{Value, json};

use crate::{
    programmed::{ANNOTATION, Programmed},
    status_api::StatusObject,
};

/// Where an Ingress can be reached: IP addresses come before names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// `status.loadBalancer.ingress[].ip`
    Ip(IpAddr),
    /// `status.loadBalancer.ingress[].hostname`
    Hostname(String),
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        match text.parse() {
            Ok(ip) => Self::Ip(ip),
            Err(_not_an_ip) => Self::Hostname(text.to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Hostname(name) => f.write_str(name),
        }
    }
}

/// What an Ingress says that only the leader writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressState {
    /// `metadata.resourceVersion`
    pub version: String,
    /// `status.loadBalancer`
    pub addresses: BTreeSet<Address>,
    /// The annotation `meshlite.io/programmed`.
    pub programmed: Option<String>,
}

/// What of an Ingress is to be different; none for what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressChange {
    /// These addresses and no others.
    pub addresses: Option<BTreeSet<Address>>,
    /// How far it is programmed.
    pub programmed: Option<Programmed>,
}

impl StatusObject for Ingress {
    type State = IngressState;

    fn state(&self) -> IngressState {
        let status = self.status.as_ref();
        let load_balancer = status.and_then(|status| status.load_balancer.as_ref());
        let entries = load_balancer.and_then(|balancer| balancer.ingress.as_deref());
        let annotations = self.metadata.annotations.as_ref();
        IngressState {
            version: self.metadata.resource_version.clone().unwrap_or_default(),
            addresses: entries.into_iter().flatten().filter_map(address).collect(),
            programmed: annotations.and_then(|all| all.get(ANNOTATION)).cloned(),
        }
    }
}

impl IngressChange {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The patch that brings an Ingress from `before` to this.
    pub fn patch(&self, before: &IngressState) -> Value {
        let mut patch = json!({"metadata": {"resourceVersion": before.version}});
        if let Some(programmed) = &self.programmed {
            patch["metadata"]["annotations"] = json!({ANNOTATION: programmed.to_string()});
        }
        if let Some(addresses) = &self.addresses {
            let entries: Vec<_> = addresses.iter().map(entry).collect();
            patch["status"] = json!({"loadBalancer": {"ingress": entries}});
        }
        patch
    }
}

fn address(entry: &IngressLoadBalancerIngress) -> Option<Address> {
    let text = entry.ip.as_deref().or(entry.hostname.as_deref())?;
    Some(text.into())
}

fn entry(address: &Address) -> Value {
    match address {
        Address::Ip(ip) => json!({"ip": ip}),
        Address::Hostname(hostname) => json!({"hostname": hostname}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_patched_and_always_at_the_version_that_was_read() {
        let before = IngressState {
            version: "7".into(),
            ..IngressState::default()
        };
        let addresses = BTreeSet::from(["lb.example.com".into(), "10.0.0.1".into()]);
        let change = IngressChange {
            addresses: Some(addresses.clone()),
            programmed: None,
        };
        let wanted = json!({
            "metadata": {"resourceVersion": "7"},
            "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}, {"hostname": "lb.example.com"}]}},
        });
        assert_eq!(change.patch(&before), wanted);
        let stored: Ingress = serde_json::from_value(wanted).unwrap();
        assert_eq!(stored.state().addresses, addresses);

        let change = IngressChange {
            addresses: None,
            programmed: Some(Programmed { done: 1, of: 2 }),
        };
        let wanted = json!({"metadata": {"resourceVersion": "7", "annotations": {"meshlite.io/programmed": "1 of 2"}}});
        assert_eq!(change.patch(&before), wanted);
        let stored: Ingress = serde_json::from_value(wanted).unwrap();
        assert_eq!(stored.state().programmed.as_deref(), Some("1 of 2"));
    }
}
