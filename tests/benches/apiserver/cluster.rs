//! The cluster: a real API server, and everything in it, created over many connections at once.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use http::{Request, header::CONTENT_TYPE};
use meshlite_kubernetes::{Client, Connection};
use meshlite_tests::apiserver::{ApiServer, Assets, BoundTo, Options, TokenRequest};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::objects;

/// The namespace of the control plane.
pub(crate) const OURS: &str = "meshlite";
/// Requests that are under way at the same time.
const AT_ONCE: u32 = 32;
const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Services, each with one EndpointSlice.
    pub(crate) services: u32,
    pub(crate) nodes: u32,
}

/// A running API server.
pub(crate) struct Cluster {
    pub(crate) api: ApiServer,
    client: Client,
}

impl Cluster {
    /// Starts an API server with nothing in it but what the control plane's clients need.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let api = ApiServer::start(Assets::find()?, Options::default()).await?;
        let connection = Connection {
            kubeconfig: Some(api.kubeconfig().to_owned()),
            api_server: None,
        };
        let client = connection.client().await?;
        let cluster = Self { api, client };
        create(
            &cluster.client,
            "/api/v1/namespaces",
            &objects::namespace(OURS),
        )
        .await?;
        let accounts = format!("/api/v1/namespaces/{OURS}/serviceaccounts");
        let account = json!({"metadata": {"name": "meshlite-node"}});
        create(&cluster.client, &accounts, &account).await?;
        Ok(cluster)
    }

    /// Creates everything, and says how long that took.
    pub(crate) async fn fill(&self, size: Size) -> anyhow::Result<Duration> {
        let Size { services, nodes } = size;
        let started = Instant::now();
        self.create_all(objects::NAMESPACES, |number| {
            let namespace = objects::namespace(&objects::namespace_of(number));
            ("/api/v1/namespaces".to_owned(), namespace)
        })
        .await?;
        self.create_all(nodes, |number| {
            ("/api/v1/nodes".to_owned(), objects::node(number))
        })
        .await?;
        self.create_all(services, |number| {
            let namespace = objects::namespace_of(number);
            let path = format!("/api/v1/namespaces/{namespace}/services");
            (path, objects::service(number))
        })
        .await?;
        self.create_all(services, move |number| {
            (slices_of(number), objects::slice(number, nodes))
        })
        .await?;
        Ok(started.elapsed())
    }

    /// Creates so many objects, each where and as `object` says.
    async fn create_all(
        &self,
        count: u32,
        object: impl Fn(u32) -> (String, Value) + Send + Sync + 'static,
    ) -> anyhow::Result<()> {
        let (next, object) = (Arc::new(AtomicU32::new(0)), Arc::new(object));
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (next, object) = (Arc::clone(&next), Arc::clone(&object));
            let client = self.client.clone();
            workers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return anyhow::Ok(());
                    }
                    let (path, object) = object(number);
                    create(&client, &path, &object).await?;
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker??;
        }
        Ok(())
    }

    /// Says of the first endpoint of a slice whether it is ready.
    pub(crate) async fn set_ready(&self, number: u32, ready: bool) -> anyhow::Result<()> {
        let path = format!("{}/{}", slices_of(number), objects::slice_name(number));
        let patch =
            json!([{"op": "replace", "path": "/endpoints/0/conditions/ready", "value": ready}]);
        let request = Request::patch(&path)
            .header(CONTENT_TYPE, JSON_PATCH)
            .body(patch.to_string().into_bytes())?;
        send(&self.client, request, &path).await.map(drop)
    }

    /// Writes the token of the first node and the CA of the control plane, which it makes as it starts, into a folder.
    pub(crate) async fn credentials(&self, folder: &Path) -> anyhow::Result<()> {
        let token = self
            .api
            .token(TokenRequest {
                namespace: OURS,
                service_account: "meshlite-node",
                audience: "meshlite",
                lifetime: Duration::from_hours(1),
                bound_to: Some(BoundTo::Node(&objects::node_name(0))),
            })
            .await?;
        std::fs::write(folder.join("token"), token)?;
        let path = format!("/api/v1/namespaces/{OURS}/configmaps/meshlite-ca");
        let deadline = Instant::now() + Duration::from_mins(1);
        let ca = loop {
            match self.api.get(&path).await {
                Ok(map) => break map["data"]["ca.crt"].as_str().map(str::to_owned),
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        };
        let ca = ca.context("the ConfigMap meshlite-ca has no ca.crt")?;
        Ok(std::fs::write(folder.join("ca.crt"), ca)?)
    }
}

fn slices_of(number: u32) -> String {
    let namespace = objects::namespace_of(number);
    format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
}

async fn create(client: &Client, path: &str, object: &Value) -> anyhow::Result<()> {
    let request = Request::post(path)
        .header(CONTENT_TYPE, JSON)
        .body(object.to_string().into_bytes())?;
    send(client, request, path).await.map(drop)
}

async fn send(client: &Client, request: Request<Vec<u8>>, path: &str) -> anyhow::Result<String> {
    let answer = client.request_text(request).await;
    answer.with_context(|| path.to_owned())
}
