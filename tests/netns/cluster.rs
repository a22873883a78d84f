//! The world with Meshlite in it: a control plane on its manifests, and `meshlite node` on every node.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use meshlite_tests::world::{Family, Host, Process, Protocol, Server, World};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    backend::{Backend, SERVICES},
    kube_proxy::Api,
    service::{Service, TARGET, zone},
    wait::eventually,
};

const CONTROL_PLANE: u16 = 18000;
/// Where ingresses listen for HTTP and HTTPS: pods have servers on other ports already.
pub(crate) const INGRESS: [u16; 2] = [18080, 18443];
/// The rest of the name is the process and what makes it unique.
const FOLDER: &str = "meshlite-netns-";

/// The cluster. Dropped, it is gone with everything in it.
pub(crate) struct Cluster {
    // In the order in which they end.
    nodes: Vec<Option<Process>>,
    /// By the host that each is on.
    ingresses: BTreeMap<String, Process>,
    control_plane: Option<Process>,
    /// The way to the API server that it follows, if it follows one.
    relay: Option<JoinSet<()>>,
    /// What is said to every node beside who it is.
    flags: &'static [&'static str],
    _servers: Vec<Server>,
    pub(crate) world: Arc<World>,
    pub(crate) backend: Backend,
    folder: TempDir,
}

// === impl Cluster ===

impl Cluster {
    /// A cluster with a node for each number, which says how many pods the node has. Pods serve every protocol
    /// that this kernel has.
    pub(crate) fn new(backend: Backend, pods: &[u8]) -> Self {
        Self::with_flags(backend, pods, &[])
    }

    /// A cluster whose nodes are told something else.
    pub(crate) fn with_flags(
        backend: Backend,
        pods: &[u8],
        flags: &'static [&'static str],
    ) -> Self {
        let world = Arc::new(World::new(pods).expect("a world"));
        sweep();
        let folder = tempfile::Builder::new()
            .prefix(&format!("{FOLDER}{}-", process::id()))
            .tempdir()
            .expect("a folder");
        fs::create_dir(folder.path().join("manifests")).expect("a folder for manifests");
        let mut servers = Vec::new();
        for (node, pods) in pods.iter().enumerate() {
            for pod in 0..(*pods).into() {
                let pod = world.pod(node, pod);
                for protocol in Protocol::supported() {
                    servers.push(pod.serve(protocol, TARGET).expect("a server"));
                }
            }
        }
        let control_plane = start_control_plane(&world, &on_manifests(folder.path()));
        let mut cluster = Self {
            nodes: Vec::new(),
            ingresses: BTreeMap::new(),
            control_plane: Some(control_plane),
            relay: None,
            flags,
            _servers: servers,
            world,
            backend,
            folder,
        };
        cluster.write("nodes", &cluster.node_objects());
        for node in 0..pods.len() {
            backend.prepare(cluster.world.node(node));
            cluster.nodes.push(None);
            cluster.start_node(node);
        }
        cluster
    }

    /// What every node is told when it is started next.
    pub(crate) fn set_flags(&mut self, flags: &'static [&'static str]) {
        self.flags = flags;
    }

    /// Nodes without ranges for their pods: then nobody can tell pods from others.
    pub(crate) fn forget_pod_networks(&self) {
        let mut nodes = self.node_objects();
        for node in &mut nodes {
            node["spec"] = json!({});
        }
        self.write("nodes", &nodes);
    }

    /// Starts the data plane of a node that has none.
    pub(crate) fn start_node(&mut self, node: usize) {
        self.start_node_as(self.backend, node);
    }

    /// The same in another mode.
    pub(crate) fn start_node_as(&mut self, backend: Backend, node: usize) {
        let host = self.world.node(node);
        let ip = self.world.control_plane().ip(Family::V4);
        let url = format!("http://{ip}:{CONTROL_PLANE}");
        let mode = backend.name();
        let who = ["node", "--mode", mode, "--node-name", host.name()];
        let whom = ["--control-plane", &url];
        let arguments = who.iter().chain(&whom).chain(self.flags);
        let started = host.start(&meshlite(), arguments);
        self.nodes[node] = Some(started.expect("meshlite node starts"));
    }

    /// Starts an ingress on a host.
    pub(crate) fn start_ingress(&mut self, on: &Host) {
        let ip = self.world.control_plane().ip(Family::V4);
        let url = format!("http://{ip}:{CONTROL_PLANE}");
        let arguments = ["ingress", "--address", "::", "--control-plane", &url];
        let started = on.start(&meshlite(), arguments);
        let started = started.expect("meshlite ingress starts");
        self.ingresses.insert(on.name().to_owned(), started);
    }

    /// Asks the ingress of a host to end, and waits until it has.
    pub(crate) fn stop_ingress(&mut self, on: &Host) {
        if let Some(ingress) = self.ingresses.remove(on.name()) {
            ingress.stop();
        }
    }

    /// Runs another command of the program on a node.
    pub(crate) fn run_on(&self, node: usize, arguments: &[&str]) -> String {
        let program = meshlite().display().to_string();
        let output = self.world.node(node).output(&program, arguments);
        output.expect("the command succeeds")
    }

    /// The data plane of a node.
    pub(crate) fn process(&self, node: usize) -> Option<&Process> {
        self.nodes[node].as_ref()
    }

    /// Ends the data plane of a node in the middle of whatever it does.
    pub(crate) fn kill_node(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    /// Ends the control plane in the middle of whatever it does.
    pub(crate) fn kill_control_plane(&mut self) {
        self.control_plane = None;
    }

    /// Starts the control plane again, as another one.
    pub(crate) fn start_control_plane(&mut self) {
        let source = on_manifests(self.folder.path());
        self.control_plane = Some(start_control_plane(&self.world, &source));
    }

    /// Replaces it by one that follows an API server, and is told something else too.
    pub(crate) fn follow(&mut self, api: &Api, flags: &[&str]) {
        self.kill_control_plane();
        self.relay = Some(api.relay(self.world.control_plane()));
        let flags = flags.iter().map(|flag| (*flag).to_owned());
        let source: Vec<_> = api.source().into_iter().chain(flags).collect();
        self.control_plane = Some(start_control_plane(&self.world, &source));
    }

    /// Adds the Service, or makes it what it is now.
    pub(crate) fn apply(&self, service: &Service) {
        self.write(&service.name(), &service.objects(&self.world));
    }

    /// Deletes the Service.
    pub(crate) fn delete(&self, service: &Service) {
        fs::remove_file(self.manifest(&service.name())).expect("it was applied");
    }

    /// Waits for what clients see. Fails at once where a process has ended, and with all logs.
    pub(crate) fn eventually<T, E: std::fmt::Display>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> T {
        eventually(what, || {
            let ended = self.processes().find(|(_, process)| process.has_ended());
            assert!(ended.is_none(), "{what}: {}", self.logs());
            attempt().map_err(|error| format!("{error}\n{}", self.logs()))
        })
    }

    fn processes(&self) -> impl Iterator<Item = (&str, &Process)> {
        let nodes = self.world.nodes().zip(&self.nodes);
        let nodes = nodes.filter_map(|(host, node)| Some((host.name(), node.as_ref()?)));
        let control_plane = self.control_plane.iter();
        let ingresses = self.ingresses.iter();
        nodes
            .chain(ingresses.map(|(name, process)| (name.as_str(), process)))
            .chain(control_plane.map(|process| ("control plane", process)))
    }

    fn logs(&self) -> String {
        let mut logs = String::new();
        for (name, process) in self.processes() {
            let ended = if process.has_ended() { ", ended" } else { "" };
            writeln!(logs, "{name}{ended}:\n{}", process.log()).ok();
        }
        logs
    }

    pub(crate) fn node_objects(&self) -> Vec<Value> {
        let nodes = (0..).zip(self.world.nodes()).map(|(number, node)| {
            let pods = Family::BOTH.map(|family| World::pod_network(number, family));
            let addresses = Family::BOTH
                .map(|family| json!({"type": "InternalIP", "address": node.ip(family)}));
            json!({
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": node.name(),
                    "labels": {"topology.kubernetes.io/zone": zone(node.name())},
                },
                "spec": {"podCIDR": pods[0], "podCIDRs": pods},
                "status": {"addresses": addresses},
            })
        });
        nodes.collect()
    }

    /// Replaces a manifest as a whole.
    pub(crate) fn write(&self, name: &str, objects: &[Value]) {
        let documents = objects.iter().map(|object| format!("---\n{object}\n"));
        let unfinished = self.folder.path().join(name);
        let write = || -> io::Result<()> {
            fs::write(&unfinished, documents.collect::<String>())?;
            fs::rename(&unfinished, self.manifest(name))
        };
        write().expect("a manifest can be written");
    }

    fn manifest(&self, name: &str) -> PathBuf {
        self.folder
            .path()
            .join("manifests")
            .join(format!("{name}.yaml"))
    }
}

fn on_manifests(folder: &Path) -> Vec<String> {
    let manifests = folder.join("manifests").display().to_string();
    let ranges = ["--service-cidr".to_owned(), SERVICES.join(",")];
    [vec!["--manifests".to_owned(), manifests], ranges.to_vec()].concat()
}

fn start_control_plane(world: &World, source: &[String]) -> Process {
    let host = world.control_plane();
    let listen = host.at(Family::V4, CONTROL_PLANE).to_string();
    let [http, https] = INGRESS.map(|port| port.to_string());
    let here = ["control-plane", "--listen", &listen, "--insecure"];
    let ingress = ["--ingress-http-port", &http, "--ingress-https-port", &https];
    let source = source.iter().map(String::as_str);
    let started = host.start(&meshlite(), here.into_iter().chain(ingress).chain(source));
    started.expect("meshlite control-plane starts")
}

/// The program, which cargo puts above the tests.
pub(crate) fn meshlite() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let folder = test.ancestors().nth(2).expect("target/debug/deps is deep");
    let program = folder.join("meshlite");
    assert!(
        program.exists(),
        "{} is not there. `make traffic` builds it",
        program.display()
    );
    program
}

/// Removes the folders of tests that were killed.
fn sweep() {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(FOLDER));
        let owner = owner.and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}
