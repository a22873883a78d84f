//! What a replica says of itself and of all clients, over `SnapshotStatus`.

use std::collections::BTreeMap;

use meshlite_proto::{
    connect::{Security, connect},
    v1::{self, snapshot_status_client::SnapshotStatusClient},
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

    /// What is wrong with its input.
    pub(crate) async fn findings(&self) -> Result<Vec<v1::Finding>, String> {
        let mut client = self.client().await?;
        let asked = client.list_findings(v1::ListFindingsRequest {});
        let answer = asked.await.map_err(|status| status.to_string())?;
        Ok(answer.into_inner().findings)
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
