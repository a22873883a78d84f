//! All planes for one feature of the suite: a folder of manifests in, an ingress that serves them.

use std::{collections::BTreeSet, fs, net::SocketAddr, num::NonZeroUsize, time::Duration};

use meshlite_compile::Settings;
use meshlite_control_plane::{Config, ControlPlane, Security, SourceConfig};
use meshlite_ingress::Ingress;
use meshlite_manifests::admit::AdmitSettings;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::echo::Pod;

/// Longer than anything takes, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The suite's class, which it puts into every Ingress.
const CLASS: &str = "conformance";

/// The planes, and the Pods behind them.
pub(crate) struct Mesh {
    folder: tempfile::TempDir,
    pods: Vec<Pod>,
    admin: SocketAddr,
    /// Ends the planes.
    _ends: DropGuard,
}

impl Mesh {
    /// Serves these manifests, in front of one Pod for each Service, and is ready.
    pub(crate) async fn new(manifests: &str, services: &[&'static str]) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let stop = CancellationToken::new();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("ingress.yaml"), manifests).expect("it can be written");
        let mut pods = Vec::new();
        for service in services {
            let pod = Pod::start(service, 0).await;
            write(&folder, &[service_yaml(service), slice(service, 0, &pod)]);
            pods.push(pod);
        }
        let control_plane = ControlPlane::bind(control_plane(&folder)).await;
        let control_plane = control_plane.expect("the control plane can be bound");
        let ingress = Ingress::bind(meshlite_ingress::Config {
            control_plane: vec![format!("http://{}", control_plane.grpc_addr())],
            address: any.ip(),
            admin_listen: Some(any),
            workers: NonZeroUsize::new(1),
            ..meshlite_ingress::Config::default()
        });
        let ingress = ingress.await.expect("the ingress can be bound");
        let admin = ingress.admin_addr().expect("admin is served");
        let run = control_plane.run(stop.clone());
        tokio::spawn(async { run.await.expect("the control plane runs") });
        let run = ingress.run(stop.clone());
        tokio::spawn(async { run.await.expect("the ingress runs") });
        let mesh = Self {
            folder,
            pods,
            admin,
            _ends: stop.drop_guard(),
        };
        mesh.shows("/readyz", |ready| ready == "ok").await;
        mesh
    }

    /// Adds Pods to the first Service until it has `count`, and waits until the ingress knows them.
    pub(crate) async fn scale(&mut self, service: &'static str, count: usize) {
        for pod in self.pods.len()..count {
            let started = Pod::start(service, pod).await;
            write(&self.folder, &[slice(service, pod, &started)]);
            self.pods.push(started);
        }
        let ports: BTreeSet<_> = self.pods.iter().map(|pod| pod.address.port()).collect();
        let path = "/resources/EndpointGroup";
        self.shows(path, |groups| {
            ports.iter().all(|port| groups.contains(&port.to_string()))
        })
        .await;
    }

    pub(crate) async fn http(&self) -> SocketAddr {
        self.listener("http").await
    }

    pub(crate) async fn https(&self) -> SocketAddr {
        self.listener("https").await
    }

    async fn listener(&self, name: &str) -> SocketAddr {
        let listeners = get(self.admin, "/listeners").await.expect("admin answers");
        let listeners: Value = serde_json::from_str(&listeners).expect("it is JSON");
        let address = listeners[format!("{CLASS}/{name}")]
            .as_str()
            .map(str::parse);
        address.expect("it is bound").expect("it is an address")
    }

    /// Waits until the ingress's admin server answers as wanted.
    async fn shows(&self, path: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = get(self.admin, path).await;
            if answer.as_deref().is_ok_and(&wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{path} was last {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn control_plane(folder: &tempfile::TempDir) -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin_listen: None,
        source: SourceConfig::Files {
            manifests: folder.path().to_owned(),
            state_dir: None,
            admit: AdmitSettings::default(),
            pods: None,
        },
        settings: Settings {
            ingress_class: CLASS.to_owned(),
            http_proxy_port: 0,
            https_proxy_port: 0,
            ..Settings::default()
        },
        security: Security::Insecure,
        replica: "replica-1".to_owned(),
    }
}

/// As the suite makes its Services: of type `NodePort`, on port 8080, which has a name.
fn service_yaml(service: &str) -> (String, String) {
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {service}}}\n\
         spec:\n  type: NodePort\n  ports: [{{name: http, port: 8080, targetPort: 3000}}]\n"
    );
    (format!("{service}.yaml"), text)
}

/// One EndpointSlice for each Pod: they all have the same address here, and ports of their own.
fn slice(service: &str, pod: usize, started: &Pod) -> (String, String) {
    let (address, port) = (started.address.ip(), started.address.port());
    let text = format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {service}-{pod}, labels: {{kubernetes.io/service-name: {service}}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {port}}}]\n\
         endpoints: [{{addresses: [{address}]}}]\n"
    );
    (format!("{service}-{pod}.yaml"), text)
}

fn write(folder: &tempfile::TempDir, files: &[(String, String)]) {
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("it can be written");
    }
}

/// The body that the admin server answers with 200.
async fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.0\r\nhost: test\r\naccept: application/json\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = exchange.await.map_err(|error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(answer),
    }
}
