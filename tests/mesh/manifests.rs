//! A folder of small manifests, one file for each Service, and what is expected of it.

use std::{collections::BTreeMap, fs, path::PathBuf};

/// The folder and what it holds.
pub(crate) struct Manifests {
    folder: tempfile::TempDir,
    /// The port of each Service that is there: every edit gives a new one.
    pub(crate) ports: BTreeMap<u16, u16>,
    edits: u16,
}

impl Manifests {
    /// A folder with this many Services.
    pub(crate) fn new(services: u16) -> Self {
        let mut manifests = Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            ports: BTreeMap::new(),
            edits: 0,
        };
        for service in 0..services {
            manifests.put(service);
        }
        manifests
    }

    /// Where the manifests are.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    /// Where the control plane keeps its state.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Writes a Service with another port than ever before.
    pub(crate) fn put(&mut self, service: u16) {
        self.edits += 1;
        self.ports.insert(service, 1000 + self.edits);
        self.write(service, "");
    }

    /// Writes a Service as it is, followed by what is no YAML: what was good of the file stays.
    pub(crate) fn break_file(&self, service: u16) {
        if self.ports.contains_key(&service) {
            self.write(service, "---\nkind: [");
        }
    }

    /// Deletes a Service.
    pub(crate) fn delete(&mut self, service: u16) {
        if self.ports.remove(&service).is_some() {
            fs::remove_file(self.file(service)).expect("the manifest is there");
        }
    }

    fn file(&self, service: u16) -> PathBuf {
        self.path().join(format!("s{service}.yaml"))
    }

    fn write(&self, service: u16, after: &str) {
        let text = text(service, self.ports[&service]);
        fs::create_dir_all(self.path()).expect("the folder can be made");
        fs::write(self.file(service), text + after).expect("the manifest can be written");
    }
}

/// Every second Service has a node port, and every third one an Ingress.
fn text(service: u16, port: u16) -> String {
    let kind = if service.is_multiple_of(2) {
        "NodePort"
    } else {
        "ClusterIP"
    };
    let mut text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: s{service}}}\n\
         spec:\n  type: {kind}\n  ports: [{{port: {port}, nodePort: null, name: http}}]\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: s{service}-a, labels: {{kubernetes.io/service-name: s{service}}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {port}}}]\n\
         endpoints: [{{addresses: [10.1.2.{service}]}}]\n"
    );
    if service.is_multiple_of(3) {
        let ingress = format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: s{service}}}\n\
             spec:\n  rules:\n  - host: s{service}.example.com\n    http:\n      paths:\n\
             \x20     - {{path: /, pathType: Prefix, backend: {{service: {{name: s{service}, port: {{name: http}}}}}}}}\n"
        );
        text.push_str(&ingress);
    }
    text
}
