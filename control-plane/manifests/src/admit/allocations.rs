//! What was allocated to whom: the state that file mode keeps between runs.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

/// Cluster IPs and node ports by Service (`namespace/name`).
///
/// It is written to the state folder as JSON. A file of another version is refused when it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Versioned", into = "Versioned")]
pub struct Allocations {
    /// By `namespace/name`; a Service that holds nothing is not listed.
    pub services: BTreeMap<String, ServiceAllocation>,
}

/// What one Service holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// Its cluster IPs, the primary first; empty for a headless Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_ips: Vec<IpAddr>,
    /// It was admitted with `clusterIP: None`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub headless: bool,
    /// Its node ports, in the order of its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_ports: Vec<NodePortAllocation>,
    /// Its port for health checks of load balancers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check_node_port: Option<u16>,
}

/// The node port of one Service port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePortAllocation {
    /// The name of the Service port; empty for an unnamed one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its protocol, as Kubernetes writes it.
    pub protocol: String,
    /// Its number.
    pub port: u16,
    /// The port on every node.
    pub node_port: u16,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
struct Versioned {
    version: u32,
    #[serde(default)]
    services: BTreeMap<String, ServiceAllocation>,
}

/// The state was written by a version of Meshlite that this one does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("allocations of version {0} are not supported; this program writes version {VERSION}")]
pub struct UnsupportedVersion(pub u32);

const VERSION: u32 = 1;

impl From<Allocations> for Versioned {
    fn from(allocations: Allocations) -> Self {
        Self {
            version: VERSION,
            services: allocations.services,
        }
    }
}

impl TryFrom<Versioned> for Allocations {
    type Error = UnsupportedVersion;

    fn try_from(file: Versioned) -> Result<Self, UnsupportedVersion> {
        if file.version == VERSION {
            Ok(Self {
                services: file.services,
            })
        } else {
            Err(UnsupportedVersion(file.version))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_survive_a_restart() {
        let allocation = ServiceAllocation {
            cluster_ips: vec!["10.96.0.9".parse().unwrap(), "fd00::9".parse().unwrap()],
            headless: false,
            node_ports: vec![NodePortAllocation {
                name: "http".into(),
                protocol: "TCP".into(),
                port: 80,
                node_port: 30080,
            }],
            health_check_node_port: Some(32000),
        };
        let before = Allocations {
            services: BTreeMap::from([("default/web".into(), allocation)]),
        };
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(serde_json::from_str::<Allocations>(&text).unwrap(), before);
    }

    #[test]
    fn allocations_of_an_unknown_version_are_refused() {
        let error = serde_json::from_str::<Allocations>(r#"{"version":2}"#).unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
    }
}
