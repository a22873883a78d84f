//! A control plane that can be killed and started again, data planes, and what each of them says it holds.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroUsize, thread, time::Duration};

use meshlite_compile::Settings;
use meshlite_control_plane::{BindError, Config, ControlPlane, Security, SourceConfig};
use meshlite_ingress::Ingress;
use meshlite_manifests::admit::AdmitSettings;
use meshlite_node::{Mode, Node};
use meshlite_proto::{
    decode,
    v1::{
        self, fetch_snapshot_response::Kind, resource::Body,
        snapshot_discovery_client::SnapshotDiscoveryClient,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::manifests::Manifests;

/// Longer than anything takes, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Digests by topic, as text.
pub(crate) type Digests = BTreeMap<String, String>;

/// The planes.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    control_plane: Option<Running>,
    data_planes: Vec<(&'static str, SocketAddr)>,
    /// Ends the data planes.
    ends: DropGuard,
}

/// A control plane on threads of its own, so that a kill takes all of it at once.
struct Running {
    threads: Runtime,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// What a client gets from `FetchSnapshot`.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) digests: Digests,
    pub(crate) services: BTreeMap<String, v1::Service>,
    pub(crate) weights: BTreeMap<String, v1::Weights>,
}

impl World {
    /// A control plane on these manifests, and nobody else.
    pub(crate) async fn control_plane(manifests: &Manifests) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (running, address) = start(manifests, any).await;
        Self {
            address,
            control_plane: Some(running),
            data_planes: Vec::new(),
            ends: CancellationToken::new().drop_guard(),
        }
    }

    /// All planes: a node of each mode that works everywhere, and an ingress.
    pub(crate) async fn new(manifests: &Manifests) -> Self {
        let mut world = Self::control_plane(manifests).await;
        let stop = CancellationToken::new();
        let url = format!("http://{}", world.address);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        for (name, mode) in [("memory", Mode::Memory), ("userspace", Mode::Userspace)] {
            let node = Node::bind(meshlite_node::Config {
                node_name: name.to_owned(),
                control_plane: vec![url.clone()],
                mode,
                metrics_listen: Some(any),
                health_listen: None,
                // Of no host: node ports are shared by all tests on a machine.
                node_port_addresses: vec!["192.0.2.1/32".parse().expect("a network")],
                loopback_only: true,
                ..meshlite_node::Config::default()
            });
            let node = node.await.expect("the node can be bound");
            let address = node.metrics_addr().expect("metrics are served");
            world.data_planes.push((name, address));
            let run = Box::pin(node.run(stop.clone()));
            let run = async { run.await.expect("the node runs") };
            tokio::spawn(run);
        }
        let ingress = Ingress::bind(meshlite_ingress::Config {
            node_name: "ingress".to_owned(),
            control_plane: vec![url],
            address: any.ip(),
            admin_listen: Some(any),
            workers: NonZeroUsize::new(1),
            ..meshlite_ingress::Config::default()
        });
        let ingress = ingress.await.expect("the ingress can be bound");
        let address = ingress.admin_addr().expect("admin is served");
        world.data_planes.push(("ingress", address));
        let run = ingress.run(stop.clone());
        let run = async { run.await.expect("the ingress runs") };
        tokio::spawn(run);
        world.ends = stop.drop_guard();
        world
    }

    /// Ends the control plane in order.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.control_plane.take() {
            running.stop.cancel();
            let ended = tokio::time::timeout(PATIENCE, running.task).await;
            ended.expect("it stops").expect("it does not panic");
            running.threads.shutdown_background();
        }
    }

    /// Ends the control plane in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        if let Some(running) = self.control_plane.take() {
            running.threads.shutdown_background();
        }
    }

    /// Starts the control plane again, where it was before.
    pub(crate) async fn start(&mut self, manifests: &Manifests) {
        let (running, _) = start(manifests, self.address).await;
        self.control_plane = Some(running);
    }

    /// Waits until the control plane serves anything.
    pub(crate) async fn serves(&self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(problem) = fetch(self.address).await {
            assert!(Instant::now() < deadline, "{problem}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the control plane serves these manifests and every data plane holds what it serves.
    pub(crate) async fn converged(&self, manifests: &Manifests) -> Fetched {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let problem = match fetch(self.address).await {
                Ok(fetched) if ports(&fetched) != manifests.ports => {
                    format!("served: {:?}", ports(&fetched))
                }
                Ok(fetched) => match self.differing(&fetched.digests).await {
                    None => return fetched,
                    Some(problem) => problem,
                },
                Err(problem) => problem,
            };
            assert!(
                Instant::now() < deadline,
                "wanted {:?}, {problem}",
                manifests.ports
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A data plane that holds something else than this, and what that is.
    async fn differing(&self, digests: &Digests) -> Option<String> {
        for (name, address) in &self.data_planes {
            let snapshot = match get(*address, "/snapshot").await {
                Ok(snapshot) => snapshot,
                Err(problem) => return Some(format!("{name}: {problem}")),
            };
            let held = snapshot["digests"].as_array()?;
            for row in held {
                let topic = row["topic"].as_str()?;
                if row["digest"].as_str() != digests.get(topic).map(String::as_str) {
                    let served = digests.get(topic);
                    return Some(format!("{name}: {topic} is {served:?} in {snapshot:#}"));
                }
            }
        }
        None
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A new control plane on this address, which another one may be about to leave.
async fn start(manifests: &Manifests, address: SocketAddr) -> (Running, SocketAddr) {
    let threads = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads can be started");
    let config = Config {
        listen: address,
        admin_listen: None,
        source: SourceConfig::Files {
            manifests: manifests.path(),
            state_dir: Some(manifests.state()),
            admit: AdmitSettings {
                service_cidrs: vec!["127.98.0.0/16".parse().expect("a network")],
                ..AdmitSettings::default()
            },
            pods: None,
        },
        settings: Settings {
            watch_ingress_without_class: true,
            http_proxy_port: 0,
            https_proxy_port: 0,
            ..Settings::default()
        },
        security: Security::Insecure,
        replica: "replica-1".into(),
    };
    let deadline = Instant::now() + PATIENCE;
    let control_plane = loop {
        let config = config.clone();
        let bound = threads.spawn(ControlPlane::bind(config)).await;
        match bound.expect("binding does not panic") {
            Ok(bound) => break bound,
            Err(BindError::Listen(_)) if Instant::now() < deadline => {
                thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    };
    let address = control_plane.grpc_addr();
    let stop = CancellationToken::new();
    let run = control_plane.run(stop.clone());
    let task = threads.spawn(async { run.await.expect("the control plane runs") });
    let running = Running {
        threads,
        task,
        stop,
    };
    (running, address)
}

/// Everything that is served.
pub(crate) async fn fetch(address: SocketAddr) -> Result<Fetched, String> {
    let client = SnapshotDiscoveryClient::connect(format!("http://{address}")).await;
    let mut client = client.map_err(|error| error.to_string())?;
    let fetched = client
        .fetch_snapshot(v1::FetchSnapshotRequest::default())
        .await;
    let mut stream = fetched.map_err(|status| status.to_string())?.into_inner();
    let mut fetched = Fetched::default();
    while let Some(message) = stream
        .message()
        .await
        .map_err(|status| status.to_string())?
    {
        match message.kind {
            Some(Kind::Resource(resource)) => match resource.body {
                Some(Body::Service(service)) => {
                    fetched.services.insert(resource.name, service);
                }
                Some(Body::Weights(weights)) => {
                    fetched.weights.insert(resource.name, weights);
                }
                _ => {}
            },
            Some(Kind::End(end)) => {
                for said in end.expected {
                    let (topic, digest, _) = decode::topic_digest(&said).expect("it is a digest");
                    let digest = digest.to_string();
                    fetched.digests.insert(topic.to_string(), digest);
                }
            }
            Some(Kind::Begin(_)) | None => {}
        }
    }
    Ok(fetched)
}

/// The port of each Service that is served.
fn ports(fetched: &Fetched) -> BTreeMap<u16, u16> {
    let port = |(name, service): (&String, &v1::Service)| {
        let number = name.strip_prefix("default/s")?.parse().ok()?;
        let port = service.ports.first()?.port;
        Some((number, u16::try_from(port).ok()?))
    };
    fetched.services.iter().filter_map(port).collect()
}

/// The JSON that a data plane answers.
async fn get(address: SocketAddr, path: &str) -> Result<serde_json::Value, String> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nhost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = answer.await.map_err(|error| error.to_string())?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP response")?;
    serde_json::from_str(body).map_err(|error| format!("{error} in {answer}"))
}
