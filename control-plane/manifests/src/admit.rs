//! What all files mean together: duplicates, addresses and node ports, the endpoint controllers, namespaces.

mod allocations;
mod pods;
mod workloads;

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Pod;
use meshlite_compile::Inputs;
use meshlite_snapshot::{Finding, ObjectRef, SourceLocation};

pub use allocations::{Allocations, NodePortAllocation, ServiceAllocation, UnsupportedVersion};
pub use workloads::{Workload, WorkloadKind, workloads};

use crate::{Located, ManifestFile};

/// What an API server is told on its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmitSettings {
    /// Where cluster IPs are allocated: at most one range for each family, the default family first.
    pub service_cidrs: Vec<IpNet>,
    /// Where node ports are allocated.
    pub node_port_range: RangeInclusive<u16>,
}

impl Default for AdmitSettings {
    fn default() -> Self {
        Self {
            service_cidrs: vec![IpNet::V4(ipnet::Ipv4Net::new_assert(
                std::net::Ipv4Addr::new(10, 96, 0, 0),
                12,
            ))],
            node_port_range: 30000..=32767,
        }
    }
}

/// A Pod that really runs, in place of a document of the same name.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningPod {
    /// The Pod, with its status.
    pub pod: Pod,
    /// Container port to the port that is really listened on, where they differ.
    pub ports: BTreeMap<u16, u16>,
}

/// What an API server and its controllers make of all files.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// What the compiler is given.
    pub inputs: Inputs,
    /// What is wrong between objects, sorted. Findings within one file are in [`ManifestFile::findings`].
    pub findings: Vec<Finding>,
    /// What is allocated now: `before` of the next call.
    pub allocations: Allocations,
    /// Where each object of `inputs` was read; a slice made here has the place of what it was made from.
    pub sources: BTreeMap<ObjectRef, SourceLocation>,
    /// Documents of kinds that Meshlite does not serve, by kind.
    pub skipped: BTreeMap<String, u32>,
}

/// Admits the objects of all files together.
///
/// Pure and total. The order of `files` does not matter: of an object that is there twice the first by file name and
/// document wins. An object that keeps existing keeps the addresses and ports that it has in `before`.
pub fn admit(
    _files: &[Arc<ManifestFile>],
    _before: &Allocations,
    _settings: &AdmitSettings,
    _running: &[RunningPod],
) -> Admitted {
    Admitted::default()
}

/// Every object by file name, then in the order of the file.
fn in_order(files: &[Arc<ManifestFile>]) -> impl Iterator<Item = &Located> {
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.into_iter().flat_map(|file| &file.objects)
}
