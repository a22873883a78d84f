//! A connection to one address of the control plane's Service.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use meshlite_proto::{
    connect::{ConnectError, Connected, Security, connect},
    v1::{self, snapshot_status_client::SnapshotStatusClient},
};
use tokio::time::{error::Elapsed, timeout};
use tonic::{Request, Status};

/// How long a replica may take to answer everything.
const ANSWER: Duration = Duration::from_secs(3);
/// More pages than a replica has clients.
const MOST_PAGES: usize = 100;
/// The largest answer that is read: half a million endpoints.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// In the metadata of a question that a replica passes on: who gets it does not pass it on again.
pub(crate) const FORWARDED: &str = "meshlite-forwarded";

/// What is known of an address. Nothing at first.
#[derive(Clone, Debug, Default)]
pub(super) struct Link(Option<Known>);

#[derive(Clone, Debug)]
enum Known {
    /// It is this process.
    Own,
    Other {
        client: Box<SnapshotStatusClient<Connected>>,
        replica: String,
    },
}

/// Where a replica may be, and how to ask it.
#[derive(Clone)]
pub(super) struct At {
    pub(super) address: SocketAddr,
    pub(super) security: Security,
    /// Whose epoch is our own is this process.
    pub(super) own_epoch: Arc<str>,
}

/// Why a replica did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{}: {}", .0.code(), .0.message())]
    Refused(#[from] Status),
    #[error("no answer after {} s", ANSWER.as_secs())]
    NoAnswer(#[from] Elapsed),
}

impl Link {
    /// The clients of the replica at this address; none where it is this process. The link is lost with an error: who is
    /// there is found out anew.
    pub(super) async fn clients(self, at: At) -> Result<(Self, Vec<v1::Client>), LinkError> {
        let asking = async {
            let known = self.known(at).await?;
            let clients = match &known {
                Known::Own => Vec::new(),
                Known::Other { client, replica } => list((**client).clone(), replica).await?,
            };
            Ok((Self(Some(known)), clients))
        };
        timeout(ANSWER, asking).await?
    }

    /// What was reported to the replica at this address, as [`Link::clients`].
    pub(super) async fn loads(self, at: At) -> Result<(Self, Vec<v1::EndpointLoad>), LinkError> {
        let asking = async {
            let known = self.known(at).await?;
            let loads = match &known {
                Known::Own => Vec::new(),
                Known::Other { client, .. } => {
                    let mut client = (**client).clone().max_decoding_message_size(MOST_BYTES);
                    let request = v1::ListLoadsRequest { local_only: true };
                    client.list_loads(request).await?.into_inner().loads
                }
            };
            Ok((Self(Some(known)), loads))
        };
        timeout(ANSWER, asking).await?
    }

    async fn known(self, at: At) -> Result<Known, LinkError> {
        match self.0 {
            Some(known) => Ok(known),
            None => Known::find(at).await,
        }
    }

    /// Whether it leads to the replica of this name.
    pub(super) fn leads_to(&self, name: &str) -> bool {
        matches!(&self.0, Some(Known::Other { replica, .. }) if replica == name)
    }

    /// What a client of the replica lacks.
    pub(super) async fn diff(self, id: &str) -> Result<v1::DiffClientResponse, Status> {
        let Some(Known::Other { mut client, .. }) = self.0 else {
            return Err(Status::unavailable("the replica is not connected"));
        };
        let mut request = Request::new(v1::DiffClientRequest {
            client: id.to_owned(),
        });
        let forwarded = tonic::metadata::MetadataValue::from_static("1");
        request.metadata_mut().insert(FORWARDED, forwarded);
        let answer = timeout(ANSWER, client.diff_client(request)).await;
        let answer = answer.map_err(|_elapsed| {
            Status::deadline_exceeded("the replica that the client is connected to does not answer")
        })?;
        Ok(answer?.into_inner())
    }
}

impl Known {
    async fn find(at: At) -> Result<Self, LinkError> {
        let At {
            address,
            security,
            own_epoch,
        } = at;
        let scheme = match security {
            Security::Plaintext => "http",
            Security::Tls(_) => "https",
        };
        let connected = connect(&format!("{scheme}://{address}"), &security).await?;
        let mut client = SnapshotStatusClient::new(connected);
        let status = client.get_server_status(v1::GetServerStatusRequest {});
        let status = status.await?.into_inner();
        if *status.epoch == *own_epoch {
            return Ok(Self::Own);
        }
        let replica = if status.replica.is_empty() {
            address.to_string()
        } else {
            status.replica
        };
        let client = Box::new(client);
        Ok(Self::Other { client, replica })
    }
}

async fn list(
    mut client: SnapshotStatusClient<Connected>,
    replica: &str,
) -> Result<Vec<v1::Client>, Status> {
    let mut clients = Vec::new();
    let mut page_token = String::new();
    for _ in 0..MOST_PAGES {
        let request = v1::ListClientsRequest {
            page_size: 0,
            page_token,
            local_only: true,
        };
        let page = client.list_clients(request).await?.into_inner();
        clients.extend(page.clients);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    for client in &mut clients {
        replica.clone_into(&mut client.replica);
    }
    Ok(clients)
}
