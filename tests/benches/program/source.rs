//! Where the objects come from: a real API server, which kube-proxy can follow too, or a folder of manifests.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::Context as _;
use http::{Request, header::CONTENT_TYPE};
use meshlite_kubernetes::{Client, Connection};
use meshlite_tests::apiserver::{ApiServer, Assets, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::objects::{Size, changed_endpoints, node, service, slice, slice_name};

/// Requests that are under way at the same time.
const AT_ONCE: u32 = 16;
/// Services in a manifest, so that few are read again when one changes.
const PER_FILE: u32 = 100;
const NODES: &str = "/api/v1/nodes";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Objects, and how often they were changed.
pub(crate) struct Source {
    pub(crate) size: Size,
    at: At,
    added: AtomicU32,
    changed: AtomicU32,
}

enum At {
    Server { api: Box<ApiServer>, client: Client },
    Folder(TempDir),
}

// === impl Source ===

impl Source {
    /// An API server with all of it.
    pub(crate) async fn server(size: Size) -> anyhow::Result<Self> {
        let api = ApiServer::start(Assets::find()?, Options::default()).await?;
        let connection = Connection {
            kubeconfig: Some(api.kubeconfig().to_owned()),
            api_server: None,
        };
        let client = connection.client().await?;
        create(&client, NODES, &node()).await?;
        let status = json!({"status": node()["status"]});
        patch(
            &client,
            &format!("{NODES}/{}/status", crate::objects::NODE),
            &status,
        )
        .await?;
        create_all(&client, size).await?;
        let api = Box::new(api);
        Ok(Self::new(size, At::Server { api, client }))
    }

    /// A folder with all of it.
    pub(crate) fn folder(size: Size) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("meshlite-bench-")
            .tempdir()?;
        let source = Self::new(size, At::Folder(folder));
        source.write("node", &[node()])?;
        // What changes is in a file of its own.
        source.write_services("changed", 0..1)?;
        for first in (1..size.services).step_by(PER_FILE as usize) {
            let until = size.services.min(first + PER_FILE);
            source.write_services(&format!("{first:05}"), first..until)?;
        }
        Ok(source)
    }

    fn new(size: Size, at: At) -> Self {
        let (added, changed) = (AtomicU32::new(0), AtomicU32::new(0));
        Self {
            size,
            at,
            added,
            changed,
        }
    }

    /// What tells a control plane of it.
    pub(crate) fn flag(&self) -> String {
        match &self.at {
            At::Server { api, .. } => format!("--kubeconfig={}", api.kubeconfig().display()),
            At::Folder(folder) => format!("--manifests={}", folder.path().display()),
        }
    }

    /// The API server, where it is one.
    pub(crate) fn api(&self) -> Option<&ApiServer> {
        match &self.at {
            At::Server { api, .. } => Some(api),
            At::Folder(_) => None,
        }
    }

    /// Adds a Service. Says its number.
    pub(crate) async fn add(&self) -> anyhow::Result<u32> {
        let number = self.size.services + self.added.fetch_add(1, Ordering::Relaxed);
        match &self.at {
            At::Folder(_) => self.write_services(&format!("{number:05}"), number..=number)?,
            At::Server { client, .. } => {
                create(client, SERVICES, &service(number)).await?;
                let endpoints = self.size.endpoints_of(number);
                create(client, SLICES, &slice(number, &endpoints)).await?;
            }
        }
        Ok(number)
    }

    /// Gives the first Service another endpoint in place of one of its own.
    pub(crate) async fn change(&self) -> anyhow::Result<()> {
        let changed = self.changed.fetch_add(1, Ordering::Relaxed);
        let slice = slice(0, &changed_endpoints(self.size, changed));
        match &self.at {
            At::Folder(_) => self.write("changed", &[service(0), slice]),
            At::Server { client, .. } => {
                let endpoints = json!({"endpoints": slice["endpoints"]});
                patch(client, &format!("{SLICES}/{}", slice_name(0)), &endpoints).await
            }
        }
    }

    fn write_services(
        &self,
        name: &str,
        numbers: impl IntoIterator<Item = u32>,
    ) -> anyhow::Result<()> {
        let objects = numbers.into_iter().flat_map(|number| {
            let endpoints = self.size.endpoints_of(number);
            [service(number), slice(number, &endpoints)]
        });
        self.write(name, &objects.collect::<Vec<_>>())
    }

    /// Replaces a manifest as a whole.
    fn write(&self, name: &str, objects: &[Value]) -> anyhow::Result<()> {
        let At::Folder(folder) = &self.at else {
            anyhow::bail!("an API server has no manifests");
        };
        let documents = objects.iter().map(|object| format!("---\n{object}\n"));
        let (unfinished, path) = (
            folder.path().join(name),
            folder.path().join(format!("{name}.yaml")),
        );
        fs::write(&unfinished, documents.collect::<String>())?;
        Ok(fs::rename(unfinished, path)?)
    }
}

async fn create_all(client: &Client, size: Size) -> anyhow::Result<()> {
    let next = Arc::new(AtomicU32::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (next, client) = (Arc::clone(&next), client.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= size.services {
                    return anyhow::Ok(());
                }
                create(&client, SERVICES, &service(number)).await?;
                create(&client, SLICES, &slice(number, &size.endpoints_of(number))).await?;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}

async fn create(client: &Client, path: &str, object: &Value) -> anyhow::Result<()> {
    let request = Request::post(path).header(CONTENT_TYPE, JSON);
    send(client, request.body(object.to_string().into_bytes())?, path).await
}

async fn patch(client: &Client, path: &str, change: &Value) -> anyhow::Result<()> {
    let request = Request::patch(path).header(CONTENT_TYPE, MERGE_PATCH);
    send(client, request.body(change.to_string().into_bytes())?, path).await
}

async fn send(client: &Client, request: Request<Vec<u8>>, path: &str) -> anyhow::Result<()> {
    let answer = client.request_text(request).await;
    answer.map(drop).with_context(|| path.to_owned())
}
