//! A real API server with everything in it, and the changes that are made there.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use http::{Request, header::CONTENT_TYPE};
use meshlite_kubernetes::{Client, Connection};
use meshlite_tests::apiserver::{ApiServer, Assets, Options, TokenRequest};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::objects::{self, GROWING, MOVING, SHOP};

/// The namespace of the control plane.
const OURS: &str = "meshlite";

/// A running API server, and the connections to it that are kept.
pub(crate) struct Cluster {
    pub(crate) api: ApiServer,
    client: Client,
}

impl Cluster {
    /// With so many Services, each with an EndpointSlice and an Ingress, and the two that are changed.
    pub(crate) async fn start(services: u32, endpoint: SocketAddr) -> anyhow::Result<Self> {
        let api = ApiServer::start(Assets::find()?, Options::default()).await?;
        let connection = Connection {
            kubeconfig: Some(api.kubeconfig().to_owned()),
            api_server: None,
        };
        let client = connection.client().await?;
        let cluster = Self { api, client };
        for namespace in [OURS, SHOP] {
            let namespace = json!({"metadata": {"name": namespace}});
            cluster.create("/api/v1/namespaces", &namespace).await?;
        }
        let accounts = format!("/api/v1/namespaces/{OURS}/serviceaccounts");
        let account = json!({"metadata": {"name": "meshlite-ingress"}});
        cluster.create(&accounts, &account).await?;
        for number in 0..services {
            let name = format!("service-{number:05}");
            cluster.add(&name, &name, "/", endpoint).await?;
        }
        cluster.add(MOVING, MOVING, "/", endpoint).await?;
        let growing = objects::ingress(GROWING, "/", MOVING);
        cluster.create(&ingresses(), &growing).await?;
        Ok(cluster)
    }

    /// A Service with its EndpointSlice and its Ingress.
    async fn add(
        &self,
        service: &str,
        ingress: &str,
        path: &str,
        endpoint: SocketAddr,
    ) -> anyhow::Result<()> {
        let services = format!("/api/v1/namespaces/{SHOP}/services");
        self.create(&services, &objects::service(service)).await?;
        self.create(&slices(), &objects::slice(service, endpoint))
            .await?;
        let ingress = objects::ingress(ingress, path, service);
        self.create(&ingresses(), &ingress).await
    }

    /// Moves the endpoint to this port; gives the time of the API server's answer.
    pub(crate) async fn move_endpoint(&self, port: u16) -> anyhow::Result<Instant> {
        let path = format!("{}/{MOVING}", slices());
        self.patch(&path, &objects::move_to(port)).await
    }

    /// Adds a path; gives the time of the API server's answer.
    pub(crate) async fn add_path(&self, added: &str) -> anyhow::Result<Instant> {
        let path = format!("{}/{GROWING}", ingresses());
        self.patch(&path, &objects::grow(added, MOVING)).await
    }

    /// Writes the token of an ingress into a folder, and the CA of the control plane, which makes it as it starts.
    pub(crate) async fn write_credentials(&self, folder: &Path) -> anyhow::Result<()> {
        let request = TokenRequest {
            namespace: OURS,
            service_account: "meshlite-ingress",
            audience: "meshlite",
            lifetime: Duration::from_hours(1),
            bound_to: None,
        };
        fs::write(folder.join("token"), self.api.token(request).await?)?;
        let path = format!("/api/v1/namespaces/{OURS}/configmaps/meshlite-ca");
        let map = self.api.get(&path).await?;
        let ca = map["data"]["ca.crt"].as_str();
        Ok(fs::write(
            folder.join("ca.crt"),
            ca.context("the ConfigMap meshlite-ca has no ca.crt")?,
        )?)
    }

    async fn create(&self, path: &str, object: &Value) -> anyhow::Result<()> {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json");
        let request = request.body(object.to_string().into_bytes())?;
        let answer = self.client.request_text(request).await;
        answer.map(drop).with_context(|| path.to_owned())
    }

    async fn patch(&self, path: &str, patch: &Value) -> anyhow::Result<Instant> {
        let request = Request::patch(path).header(CONTENT_TYPE, "application/json-patch+json");
        let request = request.body(patch.to_string().into_bytes())?;
        let answer = self.client.request_text(request).await;
        answer.with_context(|| path.to_owned())?;
        Ok(Instant::now())
    }
}

fn slices() -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{SHOP}/endpointslices")
}

fn ingresses() -> String {
    format!("/apis/networking.k8s.io/v1/namespaces/{SHOP}/ingresses")
}
