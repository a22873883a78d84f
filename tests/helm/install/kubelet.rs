//! What a kubelet and a container runtime do with a Pod: its volumes, its tokens, its user, its capabilities, its probes.
//!
//! ```text
//! template ─> Pod in the API server ─> volumes as folders ─> a root of its own ─> `meshlite` with its arguments ─> ready
//! ```

mod container;
mod volumes;

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use meshlite_tests::{
    apiserver::{ApiServer, eventually},
    world::{Family, Host, Process},
};
use nix::unistd::geteuid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Where the chart is installed.
pub(super) const NAMESPACE: &str = "meshlite";

/// Runs Pods of one API server.
pub(super) struct Kubelet<'a> {
    api: &'a ApiServer,
    program: &'a Path,
    folder: TempDir,
}

/// A Pod as the API server has it, and where it runs.
struct Pod<'a> {
    object: Value,
    name: String,
    node: &'a Host,
    network: &'a Host,
    /// Its volumes are here.
    folder: PathBuf,
    /// What its node keeps.
    host: PathBuf,
}

/// Whether Pods can be run here: it takes root. Says so aloud where not; in CI that is a failure.
pub(super) fn may_run_pods() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        assert!(
            env::var_os("CI").is_none(),
            "CI must run this test, as root"
        );
        eprintln!("NOT RUN: containers with users of their own take root");
    }
    is_root
}

impl<'a> Kubelet<'a> {
    /// One that runs this program, whatever the image.
    pub(super) fn new(api: &'a ApiServer, program: &'a Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            api,
            program,
            folder,
        }
    }

    /// Runs a Pod: its init containers to their end, then its containers until they are ready.
    pub(super) async fn run(
        &self,
        template: &Value,
        name: &str,
        node: &Host,
        network: &Host,
    ) -> Vec<Process> {
        let pod = Pod {
            object: self.create(template, name, node, network).await,
            name: name.to_owned(),
            node,
            network,
            folder: self.folder.path().join(name),
            host: self.folder.path().join(node.name()),
        };
        let volumes = volumes::make(self.api, &pod).await;
        let list = |field: &str| pod.object["spec"][field].as_array().cloned();
        for init in list("initContainers").unwrap_or_default() {
            let command = container::command(self.program, &pod, &init, &volumes);
            let arguments: Vec<_> = command.iter().skip(1).map(String::as_str).collect();
            network.output(&command[0], &arguments).unwrap();
        }
        let mut running = Vec::new();
        for container in list("containers").unwrap() {
            let command = container::command(self.program, &pod, &container, &volumes);
            let process = network.start(Path::new(&command[0]), &command[1..]);
            let process = process.unwrap();
            is_ready(&pod, &container, &process).await;
            running.push(process);
        }
        self.api.set_pod_ready(NAMESPACE, name, true).await.unwrap();
        running
    }

    /// Makes the Pod on the node, as the scheduler and the kubelet would; gives what the API server made of it.
    async fn create(&self, template: &Value, name: &str, node: &Host, network: &Host) -> Value {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": template["metadata"]["labels"]},
            "spec": template["spec"],
        });
        pod["spec"]["nodeName"] = json!(node.name());
        let is_on_host = template["spec"]["hostNetwork"] == true;
        assert_eq!(is_on_host, node.name() == network.name(), "{name}");
        self.api.apply(&pod.to_string()).await.unwrap();
        let (host_ip, ip) = (node.ip(Family::V4), network.ip(Family::V4));
        let status = json!({"status": {
            "phase": "Running",
            "hostIP": host_ip,
            "podIP": ip,
            "podIPs": [{"ip": ip}],
        }});
        let (kind, patch) = ("--type=merge", status.to_string());
        let patch = [
            "patch",
            "pod",
            name,
            "--subresource=status",
            kind,
            "--patch",
            &patch,
        ];
        let arguments: Vec<_> = ["--namespace", NAMESPACE]
            .into_iter()
            .chain(patch)
            .collect();
        self.api.kubectl(&arguments, "").await.unwrap();
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}");
        self.api.get(&path).await.unwrap()
    }
}

/// Waits until the container answers its readiness probe, asked from the node.
async fn is_ready(pod: &Pod<'_>, container: &Value, process: &Process) {
    let probe = &container["readinessProbe"]["httpGet"];
    let ports = container["ports"].as_array().unwrap();
    let port = ports.iter().find(|port| port["name"] == probe["port"]);
    let port = port.unwrap()["containerPort"].as_u64().unwrap();
    let to = SocketAddr::new(pod.network.ip(Family::V4), port.try_into().unwrap());
    let path = probe["path"].as_str().unwrap();
    eventually(&format!("{} is ready", pod.name), async || {
        assert!(!process.has_ended(), "{}: {}", pod.name, process.log());
        match pod.node.get(to, path) {
            Ok((status, _)) if status == "200" => Ok(()),
            Ok((status, body)) => Err(format!("{status} {body}\n{}", process.log())),
            Err(error) => Err(format!("{error}\n{}", process.log())),
        }
    })
    .await;
}
