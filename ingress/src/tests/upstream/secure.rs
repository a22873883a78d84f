//! TLS to endpoints, HTTP/2 over it, and what gRPC clients read.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use meshlite_snapshot::{
    Credential, Name, PrivateKey, Resource, UpstreamIdentity, UpstreamProtocol, UpstreamTls,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::put_cluster;
use crate::tests::{
    http2::connect,
    mesh::{Mesh, cluster},
    origin::{Answer, Origin, full, get},
};

const NAME: &str = "web.example";

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn der(&self) -> Bytes {
        Bytes::from(self.0.der().to_vec())
    }

    fn issue(&self, name: &str) -> (CertificateDer<'static>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        (leaf.der().clone(), key.serialize_der())
    }

    fn credential(&self, identity: bool) -> Resource {
        let identity = identity.then(|| {
            let (leaf, key) = self.issue("client.example");
            UpstreamIdentity {
                certificate_chain: vec![Bytes::from(leaf.to_vec())],
                private_key: PrivateKey(key.into()),
            }
        });
        Resource::Credential(Arc::new(Credential {
            htpasswd: None,
            authorities: vec![self.der()],
            identity,
        }))
    }
}

/// Speaks TLS, and answers with the server name that it was asked for and the version that is spoken.
async fn tls_origin(authority: &Authority, alpn: &[&[u8]], clients: Option<&Authority>) -> Origin {
    let (leaf, key) = authority.issue(NAME);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let mut config = builder.with_single_cert(vec![leaf], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Origin::raw(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let name = stream
                .get_ref()
                .1
                .server_name()
                .unwrap_or("none")
                .to_owned();
            let service = service_fn(move |request: Request<Incoming>| {
                let text = format!("{name} {:?}", request.version());
                async move { Ok::<_, Infallible>(Response::new(full(text))) }
            });
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        }
    })
    .await
}

fn verified() -> UpstreamTls {
    UpstreamTls {
        verify: true,
        authorities: Some(Name::new("default/ca").unwrap()),
        server_name: Some(NAME.into()),
        identity: None,
    }
}

async fn over_tls(mesh: &mut Mesh, protocol: UpstreamProtocol, tls: UpstreamTls) -> Answer {
    put_cluster(mesh, |web| {
        web.protocol = protocol;
        web.tls = Some(tls);
    })
    .await;
    get(mesh.http(), "h", "/").await
}

#[tokio::test]
async fn without_verification_any_certificate_will_do_and_no_name_is_sent() {
    let mut mesh = Mesh::start().await;
    let origin = tls_origin(&Authority::new(), &[], None).await;
    mesh.put_endpoints("web", &[origin.address]);
    let answer = over_tls(&mut mesh, UpstreamProtocol::Https, UpstreamTls::default()).await;
    assert_eq!(answer.body, "none HTTP/1.1");
}

#[tokio::test]
async fn a_certificate_is_verified_for_its_authority_and_its_name() {
    let mut mesh = Mesh::start().await;
    let authority = Authority::new();
    let origin = tls_origin(&authority, &[b"http/1.1"], None).await;
    mesh.put_endpoints("web", &[origin.address]);
    mesh.put("default/ca", authority.credential(false));
    let answer = over_tls(&mut mesh, UpstreamProtocol::Https, verified()).await;
    assert_eq!(answer.body, "web.example HTTP/1.1");
    let other_name = UpstreamTls {
        server_name: Some("other.example".into()),
        ..verified()
    };
    let answer = over_tls(&mut mesh, UpstreamProtocol::Https, other_name).await;
    assert_eq!(answer.status, 502);
    mesh.put("default/ca", Authority::new().credential(false));
    let answer = over_tls(&mut mesh, UpstreamProtocol::Https, verified()).await;
    assert_eq!(answer.status, 502);
}

#[tokio::test]
async fn a_credential_that_is_missing_closes_the_way_until_it_is_there() {
    let mut mesh = Mesh::start().await;
    let authority = Authority::new();
    let origin = tls_origin(&authority, &[], None).await;
    mesh.put_endpoints("web", &[origin.address]);
    let answer = over_tls(&mut mesh, UpstreamProtocol::Https, verified()).await;
    assert_eq!((answer.status.as_u16(), origin.connections()), (502, 0));
    mesh.put("default/ca", authority.credential(false));
    assert_eq!(mesh.apply().await, []);
    assert_eq!(get(mesh.http(), "h", "/").await.status, 200);
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_those_who_ask_for_it() {
    let mut mesh = Mesh::start().await;
    let (servers, clients) = (Authority::new(), Authority::new());
    let origin = tls_origin(&servers, &[], Some(&clients)).await;
    mesh.put_endpoints("web", &[origin.address]);
    mesh.put("default/ca", servers.credential(false));
    mesh.put("default/client", clients.credential(true));
    let answer = over_tls(&mut mesh, UpstreamProtocol::Https, verified()).await;
    assert_eq!(answer.status, 502);
    let shown = UpstreamTls {
        identity: Some(Name::new("default/client").unwrap()),
        ..verified()
    };
    let answer = over_tls(&mut mesh, UpstreamProtocol::Https, shown).await;
    assert_eq!(answer.body, "web.example HTTP/1.1");
}

#[tokio::test]
async fn http_2_over_tls_needs_an_endpoint_that_agrees_to_it() {
    let mut mesh = Mesh::start().await;
    let authority = Authority::new();
    mesh.put("default/ca", authority.credential(false));
    let origin = tls_origin(&authority, &[b"h2"], None).await;
    mesh.put_endpoints("web", &[origin.address]);
    let answer = over_tls(&mut mesh, UpstreamProtocol::Https2, verified()).await;
    assert_eq!(answer.body, "web.example HTTP/2.0");
    let silent = tls_origin(&authority, &[], None).await;
    mesh.put_endpoints("web", &[silent.address]);
    let answer = over_tls(&mut mesh, UpstreamProtocol::Https2, verified()).await;
    assert_eq!(answer.status, 502);
}

#[tokio::test]
async fn where_an_endpoint_takes_few_streams_there_are_more_connections() {
    let mut mesh = Mesh::with(|config| config.workers = std::num::NonZeroUsize::new(1)).await;
    let origin = Origin::raw(|stream| async move {
        let service = service_fn(|_: Request<Incoming>| async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            Ok::<_, Infallible>(Response::new(full("web")))
        });
        let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.max_concurrent_streams(10);
        drop(server.serve_connection(TokioIo::new(stream), service).await);
    })
    .await;
    mesh.serve(&[origin.address]).await;
    mesh.put("default/web/80", cluster("web", UpstreamProtocol::H2c));
    mesh.apply().await;
    // Until the endpoint has said how many it takes, nobody knows.
    assert_eq!(get(mesh.http(), "h", "/").await.body, "web");
    let asked = (0..40).map(|_| get(mesh.http(), "h", "/"));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.body == "web"));
    let connections = origin.connections();
    assert!((2..=4).contains(&connections), "{connections} connections");
}

#[tokio::test]
async fn many_requests_at_once_make_one_http_2_connection() {
    let mut mesh = Mesh::with(|config| config.workers = std::num::NonZeroUsize::new(1)).await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    mesh.put("default/web/80", cluster("web", UpstreamProtocol::H2c));
    mesh.apply().await;
    let asked = (0..50).map(|_| get(mesh.http(), "h", "/"));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.body == "web"));
    assert_eq!(origin.connections(), 1);
}

async fn call(mesh: &Mesh, path: &str) -> Response<Incoming> {
    let mut client = connect(TcpStream::connect(mesh.http()).await.unwrap()).await;
    let request = Request::post(format!("http://grpc.example{path}"))
        .header("te", "trailers")
        .header("content-type", "application/grpc+proto")
        .body(full("message"))
        .unwrap();
    client.send_request(request).await.unwrap()
}

#[tokio::test]
async fn grpc_clients_read_our_own_errors() {
    let mut mesh = Mesh::start().await;
    let response = call(&mesh, "/pkg.Service/Method").await;
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["grpc-status"]
        ),
        (200, &"12".parse().unwrap())
    );
    mesh.serve(&[]).await;
    mesh.put("default/web/80", cluster("web", UpstreamProtocol::H2c));
    mesh.apply().await;
    let response = call(&mesh, "/pkg.Service/Method").await;
    let headers = response.headers();
    assert_eq!(response.status(), 200);
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["grpc-status"], "14");
    assert_eq!(
        headers["grpc-message"],
        "the backend has no ready endpoints"
    );
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::answering(async |request| {
        let collected = request.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let frames = [Frame::data(collected.to_bytes()), Frame::trailers(trailers)];
        Response::new(StreamBody::new(stream::iter(frames.map(Ok))).boxed())
    })
    .await;
    mesh.serve(&[origin.address]).await;
    mesh.put("default/web/80", cluster("web", UpstreamProtocol::H2c));
    mesh.apply().await;
    let mut client = connect(TcpStream::connect(mesh.http()).await.unwrap()).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    let frames = [
        Frame::data(Bytes::from("message")),
        Frame::trailers(trailers),
    ];
    let body = StreamBody::new(stream::iter(frames.map(Ok))).boxed();
    let request = Request::post("http://h/")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-checksum"], "7");
    assert_eq!(collected.to_bytes(), "message");
}
