//! kube-proxy on a node of the cluster, beside whom Meshlite comes and goes; and the API server that it follows.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use http::{Request, header::CONTENT_TYPE};
use meshlite_kubernetes::{Client, Connection};
use meshlite_tests::{
    apiserver::{ApiServer, Assets, Options},
    kube_proxy,
    world::{Family, Host, Process},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::{
    backend::{Backend, SERVICES},
    cluster::Cluster,
    service::Service,
    wait::eventually_within,
};

/// The API server of a machine from where this one is booted: its port and its kubeconfig.
const GIVEN: &str = "MESHLITE_TEST_API_SERVER";
/// The loopback of that machine.
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2));
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const METRICS: SocketAddr = SocketAddr::new(HERE, 10249);
/// When it has programmed everything, for each family.
const PASSED: &str = "kubeproxy_sync_proxy_rules_last_timestamp_seconds{";
/// It runs other programs for whatever it does, which an emulated machine starts slowly.
const START: Duration = Duration::from_mins(8);
const CONFIG: &str = "config.json";
const NODES: &str = "/api/v1/nodes";
const SERVICE: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
const CLASSES: &str = "/apis/networking.k8s.io/v1/ingressclasses";

/// An API server, here or where this machine is booted from.
pub(crate) struct Api {
    runtime: Runtime,
    address: SocketAddr,
    kubeconfig: PathBuf,
    /// None where it is elsewhere.
    _server: Option<ApiServer>,
}

/// kube-proxy on one node. Dropped, it is killed, and what it programmed stays.
pub(crate) struct KubeProxy {
    node: usize,
    folder: TempDir,
    process: Option<Process>,
    _relay: JoinSet<()>,
}

// === impl Api ===

impl Api {
    /// One with the ranges of the cluster. None, and said aloud, where its programs or kube-proxy are missing; in CI that
    /// is a failure.
    pub(crate) fn start() -> Option<Self> {
        let runtime = Runtime::new().expect("a runtime");
        if let Some((port, kubeconfig)) = given() {
            return Some(Self {
                runtime,
                address: SocketAddr::new(THERE, port),
                kubeconfig,
                _server: None,
            });
        }
        let assets = Assets::or_say_so()?;
        let options = Options {
            api_server_arguments: vec![format!(
                "--service-cluster-ip-range={}",
                SERVICES.join(",")
            )],
        };
        let server = runtime.block_on(ApiServer::start(assets, options));
        let server = server.expect("an API server");
        Some(Self {
            address: SocketAddr::new(HERE, server.port()),
            kubeconfig: server.kubeconfig().to_owned(),
            _server: Some(server),
            runtime,
        })
    }

    /// What tells a machine that is booted from here of it.
    pub(crate) fn to_give(&self) -> (&'static str, String) {
        let (port, kubeconfig) = (self.address.port(), self.kubeconfig.display());
        (GIVEN, format!("{port} {kubeconfig}"))
    }

    /// Makes the Service what it is now, for all who follow either source.
    pub(crate) fn apply(&self, cluster: &Cluster, service: &Service) {
        cluster.apply(service);
        self.put(&service.objects(&cluster.world));
    }

    /// What tells a control plane to follow it, from where [its relay](Self::relay) is.
    pub(crate) fn source(&self) -> [String; 4] {
        let url = format!("https://{}", SocketAddr::new(HERE, self.address.port()));
        let kubeconfig = self.kubeconfig.display().to_string();
        [
            "--kubeconfig".to_owned(),
            kubeconfig,
            "--kube-api-server".to_owned(),
            url,
        ]
    }

    /// Makes it reachable on the loopback of a host, until this is dropped.
    pub(crate) fn relay(&self, host: &Host) -> JoinSet<()> {
        let relay = host.relay(self.runtime.handle(), self.address);
        relay.expect("a way to the API server")
    }

    /// What it says of an object, at this path.
    pub(crate) fn get(&self, path: &str) -> Value {
        let text = self.runtime.block_on(async {
            let client = self.connection().client().await.expect("a client");
            client.request_text(request("GET", path, None)).await
        });
        let text = text.unwrap_or_else(|error| panic!("GET {path}: {error}"));
        serde_json::from_str(&text).expect("JSON")
    }

    fn connection(&self) -> Connection {
        Connection {
            kubeconfig: Some(self.kubeconfig.clone()),
            api_server: Some(format!("https://{}", self.address)),
        }
    }

    /// Makes each object what it is here.
    pub(crate) fn put(&self, objects: &[Value]) {
        self.runtime.block_on(async {
            let client = self.connection().client().await.expect("a client");
            for object in objects {
                put(&client, object).await;
            }
        });
    }
}

async fn put(client: &Client, object: &Value) {
    let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let all = match kind.as_str() {
        "Node" => NODES,
        "Service" => SERVICE,
        "EndpointSlice" => SLICES,
        "Ingress" => INGRESSES,
        "IngressClass" => CLASSES,
        kind => panic!("where is a {kind}?"),
    };
    let one = format!("{all}/{name}");
    if client
        .request_text(request("GET", &one, None))
        .await
        .is_err()
    {
        send(client, "POST", all, object).await;
    } else if kind == "EndpointSlice" {
        send(client, "PUT", &one, object).await;
    }
    if object["status"].is_object() {
        let status = json!({"status": object["status"]});
        send(client, "PATCH", &format!("{one}/status"), &status).await;
    }
}

async fn send(client: &Client, method: &str, path: &str, object: &Value) {
    let answer = client.request_text(request(method, path, Some(object)));
    answer
        .await
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
}

fn request(method: &str, path: &str, object: Option<&Value>) -> Request<Vec<u8>> {
    let media_type = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = object.map(Value::to_string).unwrap_or_default();
    let request = Request::builder().method(method).uri(path);
    let request = request.header(CONTENT_TYPE, media_type);
    request.body(body.into_bytes()).expect("a request")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the host tells the machine in which it runs this test"
)]
fn given() -> Option<(u16, PathBuf)> {
    let given = env::var(GIVEN).ok()?;
    let (port, kubeconfig) = given.split_once(' ')?;
    Some((port.parse().ok()?, kubeconfig.into()))
}

// === impl KubeProxy ===

impl KubeProxy {
    /// Tells the API server of all nodes, and the node of the API server. It does not run yet.
    pub(crate) fn on(api: &Api, cluster: &Cluster, node: usize, mode: Backend) -> Self {
        let host = cluster.world.node(node);
        let relay = api.relay(host);
        api.put(&cluster.node_objects());
        let folder = tempfile::tempdir().expect("a folder");
        let config = kube_proxy::config(mode.name(), host.name(), &api.kubeconfig);
        fs::write(folder.path().join(CONFIG), config.to_string()).expect("a file");
        Self {
            node,
            folder,
            process: None,
            _relay: relay,
        }
    }

    /// Starts it, and waits until it has programmed both families by its own word. It is healthy before.
    pub(crate) fn start(&mut self, cluster: &Cluster) {
        let program = kube_proxy::program().expect("kube-proxy");
        let config = self.folder.path().join(CONFIG);
        let host = cluster.world.node(self.node);
        let process = host.start(&program, [format!("--config={}", config.display())]);
        let process = process.expect("kube-proxy starts");
        eventually_within(START, "kube-proxy has programmed both families", || {
            assert!(!process.has_ended(), "{}", process.log());
            let (_, metrics) = host.get(METRICS, "/metrics").unwrap_or_default();
            let passes = metrics.lines().filter(|line| line.starts_with(PASSED));
            match passes
                .filter(|line| !line.ends_with(" 0"))
                .collect::<Vec<_>>()
            {
                passes if passes.len() == Family::BOTH.len() => Ok(()),
                passes => Err(format!("{passes:?}\n{}", process.log())),
            }
        });
        self.process = Some(process);
    }

    /// Asks it to end, as the kubelet does, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.process.take().expect("it runs").stop();
    }
}
