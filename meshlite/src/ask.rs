//! Asks control planes, and the admin servers of data planes.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use meshlite_proto::{
    connect::{ConnectError, Connected, Security, connect, refusal},
    installed,
    v1::{
        self, snapshot_discovery_client::SnapshotDiscoveryClient,
        snapshot_status_client::SnapshotStatusClient,
    },
};
use tokio::{net::TcpStream, time::timeout};
use tonic::{Response, Status};

use crate::config::Reach;

/// How long one answer may take. Streams of resources may take longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Resources and findings can be large: a message is not bounded by the default of 4 MiB.
const MAX_MESSAGE: usize = 256 * 1024 * 1024;

/// The most that an admin server may answer.
const MAX_BODY: usize = 1024 * 1024 * 1024;

/// How people get at the CA that the control plane makes for itself.
const HOW_TO_TRUST: &str = "Its CA, for --ca-file: kubectl -n meshlite get configmap meshlite-ca -o jsonpath='{.data.ca\\.crt}'";

/// A control plane that answers.
#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) url: &'a str,
    security: &'a Security,
    connected: Connected,
}

// === impl Reach ===

impl Reach {
    /// Connects to the first control plane that can be connected to.
    pub(crate) async fn first(&self) -> anyhow::Result<Server<'_>> {
        let mut errors = Vec::new();
        for url in &self.control_planes {
            match self.connect(url).await {
                Ok(server) => return Ok(server),
                Err(error) => errors.push(error),
            }
        }
        let why: Vec<_> = errors.iter().map(|error| format!("{error:#}")).collect();
        bail!("{}\n{}", why.join("\n"), advice(&errors))
    }

    /// Connects to one of them.
    pub(crate) async fn connect<'a>(&'a self, url: &'a str) -> anyhow::Result<Server<'a>> {
        let connected = connect(url, &self.security).await?;
        Ok(Server {
            url,
            security: &self.security,
            connected,
        })
    }
}

// === impl Server ===

impl Server<'_> {
    /// Questions of people and tools.
    pub(crate) fn status(&self) -> SnapshotStatusClient<Connected> {
        SnapshotStatusClient::new(self.connected.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// Whole snapshots.
    pub(crate) fn discovery(&self) -> SnapshotDiscoveryClient<Connected> {
        SnapshotDiscoveryClient::new(self.connected.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// What it answers, or why it does not, with what to do.
    pub(crate) async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<Response<T>, Status>>,
    ) -> anyhow::Result<T> {
        let Ok(answer) = timeout(PATIENCE, asked).await else {
            bail!("{} does not answer within {PATIENCE:?}", self.url);
        };
        answer
            .map(Response::into_inner)
            .map_err(|status| self.refused(&status))
    }

    /// Why it does not answer, with what to do.
    pub(crate) fn refused(&self, status: &Status) -> anyhow::Error {
        let why = refusal(self.url, self.security, status);
        match (status.code(), self.security) {
            (tonic::Code::Unauthenticated, Security::Plaintext) => {
                anyhow!("{why}\n{HOW_TO_TRUST}")
            }
            (tonic::Code::Unauthenticated, Security::Tls(_)) => anyhow!(
                "{why}; give --token-file, or --client-certificate with --client-key, of a reader"
            ),
            (tonic::Code::PermissionDenied, _) => anyhow!(
                "{why}; the control plane's --reader-service-account may, and certificates of the organisation meshlite:reader"
            ),
            _ => anyhow!(why),
        }
    }

    /// Who this replica is and what it serves.
    pub(crate) async fn server_status(&self) -> anyhow::Result<v1::ServerStatus> {
        let mut client = self.status();
        self.answer(client.get_server_status(v1::GetServerStatusRequest {}))
            .await
    }

    /// The data planes of all replicas, and the replicas that did not answer.
    pub(crate) async fn clients(
        &self,
    ) -> anyhow::Result<(Vec<v1::Client>, Vec<v1::UnreachableReplica>)> {
        let (mut clients, mut unreachable) = (Vec::new(), Vec::new());
        let mut request = v1::ListClientsRequest::default();
        loop {
            let page = self
                .answer(self.status().list_clients(request.clone()))
                .await?;
            clients.extend(page.clients);
            for replica in page.unreachable {
                if !unreachable.contains(&replica) {
                    unreachable.push(replica);
                }
            }
            if page.next_page_token.is_empty() {
                return Ok((clients, unreachable));
            }
            if page.next_page_token == request.page_token {
                bail!("{} gives the same page of clients again", self.url);
            }
            request.page_token = page.next_page_token;
        }
    }
}

/// What to do where nobody could be connected to.
fn advice(errors: &[anyhow::Error]) -> &'static str {
    let is_about_trust = |error: &anyhow::Error| {
        matches!(
            error.downcast_ref(),
            Some(ConnectError::Untrusted { .. } | ConnectError::Encrypted { .. })
        )
    };
    if errors.iter().any(is_about_trust) {
        HOW_TO_TRUST
    } else {
        "Is a control plane running there? --control-plane URL asks another."
    }
}

/// The body that the admin server of a node or ingress answers, at a path of its URL.
pub(crate) async fn admin(url: &str, path: &str) -> anyhow::Result<Bytes> {
    let why = || {
        format!(
            "cannot ask {url}{path}; is it the admin server of a node (http://127.0.0.1:10249) or ingress \
             (http://127.0.0.1:10254)?"
        )
    };
    timeout(PATIENCE, admin_body(url, path))
        .await
        .map_err(|_elapsed| anyhow!("no answer within {PATIENCE:?}"))
        .and_then(|answer| answer)
        .with_context(why)
}

async fn admin_body(url: &str, path: &str) -> anyhow::Result<Bytes> {
    let uri: http::Uri = format!("{url}{path}").parse()?;
    let authority = uri.authority().context("the URL names no host")?.clone();
    let stream = TcpStream::connect(authority.as_str()).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Its end is seen by who waits for the answer.
    let connection = tokio::spawn(async { drop(connection.await) });
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, installed::MEDIA_TYPE)
        .body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    connection.abort();
    let body = body.map_err(|error| anyhow!(error))?.to_bytes();
    if !head.status.is_success() {
        let said = String::from_utf8_lossy(&body);
        bail!("{}: {}", head.status, said.trim());
    }
    Ok(body)
}
