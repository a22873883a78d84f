//! A control plane, a node and an ingress as people run them: TLS, tokens of Pods, an API server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::ByteString;
use meshlite_tests::{
    apiserver::{ApiServer, TokenRequest},
    process::free_port,
    programs::meshlite,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::programs::{Plane, Said, run};
use crate::support::{AUDIENCE, Cluster, certificate, objects};

const ANY: &str = "127.0.0.1:0";
/// The host that is served with a certificate.
pub(super) const HOST: &str = "shop.example.com";

/// A control plane that runs, and files with the tokens of those who may ask it.
pub(super) struct Mesh {
    pub(super) program: PathBuf,
    pub(super) cluster: Cluster,
    pub(super) control_plane: Plane,
    /// Where it listens for gRPC.
    pub(super) address: String,
    folder: TempDir,
}

impl Mesh {
    /// Starts a control plane with one Service, and an Ingress for [`HOST`]. None where there is no program.
    pub(super) async fn start(api: &ApiServer, prefix: &str) -> Option<Self> {
        let program = meshlite()?;
        let cluster = Cluster::new(api, prefix).await;
        write_objects(api, &cluster).await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = cluster.config(api, "command").await.kubeconfig;
        let namespace = &cluster.namespace;
        let args = [
            "control-plane".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--namespace={namespace}"),
            format!("--watch-namespace={namespace}"),
            format!("--ingress-class={namespace}"),
            format!("--ingress-http-port={}", free_port().unwrap()),
            format!("--ingress-https-port={}", free_port().unwrap()),
            format!("--listen={ANY}"),
            format!("--admin-listen={ANY}"),
            "--replica-name=replica-1".to_owned(),
        ];
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let control_plane = Plane::start(&program, &args, folder.path().join("control-plane.log"));
        let address = control_plane.said("control plane bound", "grpc").await;
        fs::write(folder.path().join("ca.crt"), cluster.ca(api).await).unwrap();
        let mesh = Self {
            program,
            cluster,
            control_plane,
            address,
            folder,
        };
        for account in ["meshlite-node", "meshlite-ingress"] {
            let namespace = &mesh.cluster.namespace;
            let token = mesh.cluster.pod_token(api, account, namespace, AUDIENCE);
            fs::write(mesh.path(account), token.await).unwrap();
        }
        // As people do: `kubectl create token meshlite-reader --audience meshlite`.
        let token = api.token(TokenRequest {
            namespace: &mesh.cluster.namespace,
            service_account: "meshlite-reader",
            audience: AUDIENCE,
            lifetime: std::time::Duration::from_hours(1),
            bound_to: None,
        });
        fs::write(mesh.path("meshlite-reader"), token.await.unwrap()).unwrap();
        Some(mesh)
    }

    /// A file of this mesh; the token of an account is in one of its name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The token of an account.
    pub(super) fn token(&self, account: &str) -> String {
        fs::read_to_string(self.path(account)).unwrap()
    }

    /// What a client of the control plane is told, as this account.
    pub(super) fn connect(&self, account: &str) -> Vec<String> {
        vec![
            format!("--control-plane=https://{}", self.address),
            format!("--ca-file={}", self.path("ca.crt").display()),
            format!("--token-file={}", self.path(account).display()),
        ]
    }

    /// Starts a node; gives where its metrics are too.
    pub(super) async fn node(&self) -> (Plane, String) {
        let bind = [
            format!("--metrics-bind-address={ANY}"),
            format!("--healthz-bind-address={ANY}"),
            "--nodeport-addresses=127.0.0.1".to_owned(),
            "--mode=userspace".to_owned(),
        ];
        let node = self.data_plane("node", &bind);
        let metrics = node.said("node bound", "metrics").await;
        (node, format!("http://{metrics}"))
    }

    /// Starts an ingress; gives where its admin server is too.
    pub(super) async fn ingress(&self) -> (Plane, String) {
        let bind = [
            format!("--admin-listen={ANY}"),
            "--address=127.0.0.1".to_owned(),
        ];
        let ingress = self.data_plane("ingress", &bind);
        let admin = ingress.said("ingress bound", "admin").await;
        (ingress, format!("http://{admin}"))
    }

    fn data_plane(&self, kind: &str, bind: &[String]) -> Plane {
        let mut args = vec![
            kind.to_owned(),
            format!("--node-name={}", self.cluster.namespace),
        ];
        args.extend(self.connect(&format!("meshlite-{kind}")));
        args.extend_from_slice(bind);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        Plane::start(&self.program, &args, self.path(&format!("{kind}.log")))
    }

    /// Runs the command as a reader who knows the CA.
    pub(super) async fn ask(&self, args: &[&str]) -> Said {
        let connect = self.connect("meshlite-reader");
        let connect = connect.iter().map(String::as_str);
        let args: Vec<_> = args.iter().copied().chain(connect).collect();
        run(&self.program, &args).await
    }

    /// What is secret in the Secret of [`HOST`] and in our own CA's, as PEM and as the API server writes it.
    pub(super) async fn keys(&self) -> Vec<(String, String)> {
        let mut keys = Vec::new();
        for (secret, key) in [("web-tls", "tls.key"), ("meshlite-ca", "ca.key")] {
            let object = self.cluster.get(&format!("secrets/{secret}")).await;
            let encoded = object["data"][key].as_str().unwrap();
            let pem: ByteString = serde_json::from_value(object["data"][key].clone()).unwrap();
            let pem = String::from_utf8(pem.0).unwrap();
            // The second line of a key holds nothing but the secret number.
            let line = pem.lines().nth(2).unwrap().chars().take(20);
            let at = 4 * pem.find(pem.lines().nth(2).unwrap()).unwrap().div_ceil(3);
            let encoded = encoded.chars().skip(at).take(20);
            keys.push((secret.to_owned(), line.collect()));
            keys.push((secret.to_owned(), encoded.collect()));
        }
        keys
    }
}

async fn write_objects(api: &ApiServer, cluster: &Cluster) {
    let namespace = &cluster.namespace;
    cluster
        .create("services", &objects::service("web", 80))
        .await;
    let labels = json!({"kubernetes.io/service-name": "web"});
    let slice: Value = json!({
        "metadata": {"name": "web-1", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["192.0.2.7"]}],
    });
    cluster.create("endpointslices", &slice).await;
    let secret = certificate::manifest("web-tls", HOST).replace("NAMESPACE", namespace);
    api.apply(&secret).await.unwrap();
    let mut ingress = objects::ingress("web", namespace, HOST, "web");
    ingress["spec"]["tls"] = json!([{"hosts": [HOST], "secretName": "web-tls"}]);
    cluster.create("ingresses", &ingress).await;
}

/// As text, where it is UTF-8.
pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
