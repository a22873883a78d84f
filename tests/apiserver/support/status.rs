//! What a replica says of itself and of all clients, over `SnapshotStatus`.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_proto::{
    connect::{Security, connect},
    v1::{self, resource::Body, snapshot_status_client::SnapshotStatusClient},
};

/// Asks one replica.
pub(crate) struct Asked {
    url: String,
    security: Security,
}

impl Asked {
    /// One without TLS.
    pub(crate) fn plaintext(url: &str) -> Self {
        Self::new(url, Security::Plaintext)
    }

    pub(crate) fn new(url: &str, security: Security) -> Self {
        Self {
            url: url.to_owned(),
            security,
        }
    }

    /// What it publishes and how far it has read.
    pub(crate) async fn server(&self) -> Result<v1::ServerStatus, String> {
        let mut client = self.client().await?;
        let asked = client.get_server_status(v1::GetServerStatusRequest {});
        let answer = asked.await.map_err(|status| status.to_string())?;
        Ok(answer.into_inner())
    }

    /// Digests of all that it publishes, by topic.
    pub(crate) async fn digests(&self) -> Result<BTreeMap<String, String>, String> {
        let status = self.server().await?;
        Ok(by_topic(&status.digests))
    }

    /// The clients of all replicas.
    pub(crate) async fn clients(&self) -> Result<v1::ListClientsResponse, String> {
        let mut client = self.client().await?;
        let asked = client.list_clients(v1::ListClientsRequest::default());
        let answer = asked.await.map_err(|status| status.to_string())?;
        Ok(answer.into_inner())
    }

    async fn client(
        &self,
    ) -> Result<SnapshotStatusClient<meshlite_proto::connect::Connected>, String> {
        let connected = connect(&self.url, &self.security).await;
        let connected = connected.map_err(|error| error.to_string())?;
        Ok(SnapshotStatusClient::new(connected))
    }
}

fn by_topic(digests: &[v1::TopicDigest]) -> BTreeMap<String, String> {
    let known = digests
        .iter()
        .filter_map(|said| meshlite_proto::decode::topic_digest(said).ok());
    known
        .map(|(topic, digest, _)| (topic.to_string(), digest.to_string()))
        .collect()
}

/// What a replica serves, without private keys.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    /// Type, scope, name and version of each.
    pub(crate) versions: BTreeSet<(i32, String, String, String)>,
    services: BTreeMap<String, v1::Service>,
}

impl Resources {
    /// The first port of a Service.
    pub(crate) fn port_of(&self, service: &str) -> Option<u32> {
        Some(self.services.get(service)?.ports.first()?.port)
    }
}

impl Asked {
    /// All that it serves.
    pub(crate) async fn resources(&self) -> Result<Resources, String> {
        let mut client = self.client().await?;
        let asked = client.dump_resources(v1::DumpResourcesRequest::default());
        let mut stream = asked
            .await
            .map_err(|status| status.to_string())?
            .into_inner();
        let mut resources = Resources::default();
        while let Some(resource) = stream.message().await.map_err(|s| s.to_string())? {
            if let Some(Body::Service(service)) = resource.body {
                resources.services.insert(resource.name.clone(), service);
            }
            let row = (
                resource.r#type,
                resource.scope,
                resource.name,
                resource.version,
            );
            resources.versions.insert(row);
        }
        Ok(resources)
    }
}
