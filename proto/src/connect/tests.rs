//! Against real TLS and plaintext servers on loopback: what connects, and what is said where it does not.

use std::path::Path;

use tempfile::TempDir;
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Response, transport::Server};

use super::*;
use crate::{
    testing::{Authority, NOW},
    v1::{
        self,
        snapshot_status_client::SnapshotStatusClient,
        snapshot_status_server::{SnapshotStatus, SnapshotStatusServer},
    },
};

/// Says who asks: the bearer, or that nobody is allowed.
#[derive(Debug)]
struct WhoAsks;

type Streamed<T> = tokio_stream::Empty<Result<T, Status>>;

#[tonic::async_trait]
impl SnapshotStatus for WhoAsks {
    type DumpResourcesStream = Streamed<v1::Resource>;

    async fn get_server_status(
        &self,
        request: Request<v1::GetServerStatusRequest>,
    ) -> Result<Response<v1::ServerStatus>, Status> {
        let bearer = request.metadata().get("authorization");
        let bearer = bearer.map(|bearer| bearer.to_str().unwrap().to_owned());
        let build = match bearer.as_deref() {
            Some("Bearer expired") => return Err(Status::unauthenticated("the token has expired")),
            Some("Bearer node") => return Err(Status::permission_denied("a node may not read")),
            Some(bearer) => bearer.to_owned(),
            None => "nobody".to_owned(),
        };
        Ok(Response::new(v1::ServerStatus {
            build,
            ..v1::ServerStatus::default()
        }))
    }

    async fn list_clients(
        &self,
        _: Request<v1::ListClientsRequest>,
    ) -> Result<Response<v1::ListClientsResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn dump_resources(
        &self,
        _: Request<v1::DumpResourcesRequest>,
    ) -> Result<Response<Self::DumpResourcesStream>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn diff_client(
        &self,
        _: Request<v1::DiffClientRequest>,
    ) -> Result<Response<v1::DiffClientResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn list_findings(
        &self,
        _: Request<v1::ListFindingsRequest>,
    ) -> Result<Response<v1::ListFindingsResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }

    async fn list_loads(
        &self,
        _: Request<v1::ListLoadsRequest>,
    ) -> Result<Response<v1::ListLoadsResponse>, Status> {
        Err(Status::unimplemented("not asked for here"))
    }
}

/// A server with a certificate of its own CA. Stops when it is dropped.
struct Running {
    address: std::net::SocketAddr,
    folder: TempDir,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    async fn plaintext() -> Self {
        Self::serve(Server::builder(), tempfile::tempdir().unwrap()).await
    }

    /// With a certificate for this name that is valid for these years.
    async fn tls(name: &str, years: std::ops::Range<i32>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        std::fs::write(folder.path().join("ca.crt"), &authority.pem).unwrap();
        let config = authority.server(name, years);
        Self::serve(Server::builder().tls_config(config).unwrap(), folder).await
    }

    async fn serve(mut server: Server, folder: TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = server.add_service(SnapshotStatusServer::new(WhoAsks));
        let serving = router.serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(serving).abort_handle();
        Self {
            address,
            folder,
            task,
        }
    }

    fn https(&self) -> String {
        format!("https://{}", self.address)
    }

    fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn trusting(&self, credentials: Credentials) -> Security {
        trusting(&self.folder.path().join("ca.crt"), credentials)
    }
}

fn trusting(ca: &Path, credentials: Credentials) -> Security {
    Security::Tls(Tls::new(Ca::File(ca.to_owned()), credentials))
}

async fn who(url: &str, security: &Security) -> Result<String, String> {
    let connected = connect(url, security)
        .await
        .map_err(|error| error.to_string())?;
    SnapshotStatusClient::new(connected)
        .get_server_status(v1::GetServerStatusRequest {})
        .await
        .map(|status| status.into_inner().build)
        .map_err(|status| refusal(url, security, &status))
}

#[tokio::test]
async fn the_token_is_read_again_at_each_connect() {
    let server = Running::tls(SERVER_NAME, NOW).await;
    let token = server.file("token", "first\n");
    let security = server.trusting(Credentials::TokenFile(token));
    let url = server.https();
    assert_eq!(who(&url, &security).await.unwrap(), "Bearer first");
    server.file("token", "second");
    assert_eq!(who(&url, &security).await.unwrap(), "Bearer second");
    let nobody = server.trusting(Credentials::None);
    assert_eq!(who(&url, &nobody).await.unwrap(), "nobody");
    let plaintext = Running::plaintext().await;
    let url = plaintext.http();
    assert_eq!(who(&url, &Security::Plaintext).await.unwrap(), "nobody");
}

#[tokio::test]
async fn what_the_control_plane_says_is_passed_on_with_what_it_is_about() {
    let server = Running::tls(SERVER_NAME, NOW).await;
    let url = server.https();
    for (content, says) in [
        ("expired", "does not accept the token in "),
        ("expired", ": the token has expired"),
        ("node", "does not permit it: a node may not read"),
    ] {
        let token = server.file("token", content);
        let security = server.trusting(Credentials::TokenFile(token));
        let error = who(&url, &security).await.unwrap_err();
        assert!(error.contains(says) && error.contains(&url), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_believed_is_named_with_the_reason() {
    let good = Running::tls(SERVER_NAME, NOW).await;
    let other = Running::tls(SERVER_NAME, NOW).await;
    let expired = Running::tls(SERVER_NAME, 2000..2001).await;
    let future = Running::tls(SERVER_NAME, 2400..2500).await;
    let misnamed = Running::tls("example.com", NOW).await;
    let plaintext = Running::plaintext().await;
    let trust = |server: &Running| server.trusting(Credentials::None);
    for (url, security, says) in [
        (good.https(), trust(&other), "is not signed by the CA in "),
        (expired.https(), trust(&expired), "has expired, or a clock"),
        (future.https(), trust(&future), "is not valid yet"),
        (
            misnamed.https(),
            trust(&misnamed),
            "is not for the name meshlite-control-plane",
        ),
        (
            plaintext.https(),
            trust(&good),
            "if it serves plaintext, write http://",
        ),
        (
            good.http(),
            Security::Plaintext,
            "if it serves TLS, write https://",
        ),
        (
            good.http(),
            trust(&good),
            "is plaintext, but TLS is configured",
        ),
        (
            good.https(),
            Security::Plaintext,
            "is TLS, but no CA is configured",
        ),
        (
            "meshlite:18000".into(),
            trust(&good),
            "is not a URL of a control plane",
        ),
        (
            "ftp://meshlite".into(),
            trust(&good),
            "neither https nor http",
        ),
    ] {
        let error = who(&url, &security).await.unwrap_err();
        assert!(error.contains(says), "{says:?} is not in {error:?}");
        assert!(error.contains(&url), "{url} is not in {error:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_missing_or_wrong_is_named() {
    let server = Running::tls(SERVER_NAME, NOW).await;
    let missing = server.folder.path().join("missing");
    let empty = server.file("empty", "\n");
    let lines = server.file("lines", "one\ntwo");
    let token = |path: &Path| server.trusting(Credentials::TokenFile(path.to_owned()));
    let pair = Credentials::Certificate {
        certificate: server.folder.path().join("ca.crt"),
        key: empty.clone(),
    };
    for (security, says) in [
        (trusting(&missing, Credentials::None), "the CA "),
        (
            trusting(&missing, Credentials::None),
            "missing: No such file",
        ),
        (trusting(&empty, Credentials::None), "no certificate in it"),
        (token(&missing), "the token "),
        (token(&empty), "it is empty"),
        (token(&lines), "it is not one line of text"),
        (server.trusting(pair), "TLS with the CA in "),
    ] {
        let error = who(&server.https(), &security).await.unwrap_err();
        assert!(error.contains(says), "{says:?} is not in {error:?}");
    }
}

#[tokio::test]
async fn a_token_is_never_printed() {
    let server = Running::tls(SERVER_NAME, NOW).await;
    let token = server.file("token", "hunter2");
    let security = server.trusting(Credentials::TokenFile(token));
    let connected = connect(&server.https(), &security).await.unwrap();
    assert!(!format!("{connected:?} {security:?}").contains("hunter2"));
}
