//! Generated manifests: many Services with EndpointSlices, the same bytes every time.

use std::{fmt::Write as _, fs, io, path::Path};

/// How much to generate.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Services, each with one EndpointSlice.
    pub services: u32,
    /// Endpoints in each slice; at most 250.
    pub endpoints: u32,
    /// Services in each file.
    pub services_per_file: u32,
}

impl Size {
    /// What the kubelet-scale thresholds of Kubernetes name: 10,000 Services, here with 10 endpoints each.
    pub const CLUSTER: Self = Self {
        services: 10_000,
        endpoints: 10,
        services_per_file: 100,
    };
}

/// The manifests as files: path relative to their folder, and bytes.
pub fn manifests(size: Size) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut next = 0;
    while next < size.services {
        let end = size.services.min(next + size.services_per_file);
        let mut text = String::new();
        for service in next..end {
            service_and_slice(&mut text, service, size.endpoints);
        }
        files.push((format!("services-{next:05}.yaml"), text.into_bytes()));
        next = end;
    }
    files
}

/// Writes the manifests into a folder.
pub fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> io::Result<()> {
    files
        .iter()
        .try_for_each(|(path, bytes)| fs::write(folder.join(path), bytes))
}

/// One Service as kubectl prints it, and its EndpointSlice as the endpoint controller writes it.
fn service_and_slice(text: &mut String, number: u32, endpoints: u32) {
    let namespace = format!("team-{:03}", number % 200);
    let name = format!("service-{number:05}");
    let vip = format!(
        "10.{}.{}.{}",
        96 + number / 65_536,
        number / 256 % 256,
        number % 256
    );
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels:\n    app: {name}\n\
         spec:\n  type: ClusterIP\n  clusterIP: {vip}\n  clusterIPs:\n  - {vip}\n  ipFamilies:\n  - IPv4\n  ipFamilyPolicy: SingleStack\n\
         \x20 ports:\n  - name: http\n    port: 80\n    protocol: TCP\n    targetPort: 8080\n  sessionAffinity: None\n---\n"
    );
    text.push_str(&service);
    let slice = format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-x7k2p\n  namespace: {namespace}\n  labels:\n\
         \x20   kubernetes.io/service-name: {name}\n    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io\n\
         addressType: IPv4\nports:\n- name: http\n  port: 8080\n  protocol: TCP\nendpoints:\n"
    );
    text.push_str(&slice);
    for endpoint in 0..endpoints {
        let pod = number * endpoints + endpoint;
        let address = format!(
            "10.{}.{}.{}",
            128 + pod / 65_536,
            pod / 256 % 256,
            pod % 256
        );
        let node = pod % 5_000;
        let zone = pod % 3;
        write!(
            text,
            "- addresses:\n  - {address}\n  conditions:\n    ready: true\n    serving: true\n    terminating: false\n\
             \x20 nodeName: node-{node:04}\n  zone: zone-{zone}\n  targetRef:\n    kind: Pod\n    name: {name}-{endpoint}\n    namespace: {namespace}\n"
        )
        .ok();
    }
    text.push_str("---\n");
}
