//! HTTP/2 on both sides, and gRPC's needs.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meshlite_snapshot::UpstreamProtocol;
use tokio::net::TcpStream;

use super::{
    mesh::{Mesh, cluster},
    origin::{Answer, Origin, OriginBody, full, get},
};

pub(super) async fn connect<S>(stream: S) -> http2::SendRequest<OriginBody>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn h2c_by_prior_knowledge_reaches_an_http_1_origin() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut client = connect(TcpStream::connect(mesh.http()).await.unwrap()).await;
    let mut request = Request::get("http://Example.com/x?y=1")
        .body(full(""))
        .unwrap();
    request
        .headers_mut()
        .append("cookie", "a=1".parse().unwrap());
    request
        .headers_mut()
        .append("cookie", "b=2".parse().unwrap());
    let answer = Answer::read(client.send_request(request).await.unwrap()).await;
    assert_eq!(
        (answer.version, answer.body.as_str()),
        (Version::HTTP_2, "web")
    );
    let seen = origin.last();
    assert_eq!(seen.version(), Version::HTTP_11);
    assert_eq!(seen.uri(), "/x?y=1");
    assert_eq!(seen.headers()["host"], "Example.com");
    let cookies: Vec<_> = seen.headers().get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=1; b=2"]);
}

#[tokio::test]
async fn an_upload_over_http_2_arrives_whole() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut client = connect(TcpStream::connect(mesh.http()).await.unwrap()).await;
    let request = Request::post("http://h/")
        .body(full(vec![b'x'; 500_000]))
        .unwrap();
    let answer = Answer::read(client.send_request(request).await.unwrap()).await;
    assert_eq!(answer.header("seen-body"), "500000");
    assert_eq!(origin.last().headers()["content-length"], "500000");
}

/// Answers as gRPC does: DATA, then trailers.
async fn grpc_origin() -> Origin {
    Origin::answering(async |request| {
        let (parts, body) = request.into_parts();
        let sent = body.collect().await.unwrap().to_bytes();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let te = parts.headers.get("te").cloned();
        trailers.insert("seen-te", te.unwrap_or("none".parse().unwrap()));
        let frames = [Frame::data(sent), Frame::trailers(trailers)];
        Response::new(StreamBody::new(stream::iter(frames.map(Ok))).boxed())
    })
    .await
}

#[tokio::test]
async fn grpc_passes_from_http_2_to_http_2_with_its_trailers() {
    let mut mesh = Mesh::start().await;
    let origin = grpc_origin().await;
    mesh.serve(&[origin.address]).await;
    mesh.put("default/web/80", cluster("web", UpstreamProtocol::H2c));
    mesh.apply().await;
    let mut client = connect(TcpStream::connect(mesh.http()).await.unwrap()).await;
    for _ in 0..3 {
        let request = Request::post("http://grpc.example/pkg.Service/Method")
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(full("message"))
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        assert_eq!(collected.to_bytes(), Bytes::from("message"));
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["seen-te"], "trailers");
    }
    let seen = origin.last();
    assert_eq!(seen.version(), Version::HTTP_2);
    assert_eq!(seen.uri().authority().unwrap(), "grpc.example");
    assert_eq!(seen.uri().path(), "/pkg.Service/Method");
    assert_eq!((origin.requests(), origin.connections()), (3, 1));
}

#[tokio::test]
async fn an_http_1_client_reaches_an_http_2_origin() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    mesh.put("default/web/80", cluster("web", UpstreamProtocol::H2c));
    mesh.apply().await;
    let answer = get(mesh.http(), "h:81", "/x").await;
    assert_eq!(
        (answer.body.as_str(), answer.version),
        ("web", Version::HTTP_11)
    );
    assert_eq!(answer.header("seen-path"), "http://h:81/x");
    assert_eq!(answer.header("seen-version"), "HTTP/2.0");
}

#[tokio::test]
async fn many_streams_share_one_client_connection() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let client = connect(TcpStream::connect(mesh.http()).await.unwrap()).await;
    let asked = (0..100).map(|_| {
        let mut client = client.clone();
        async move {
            let request = Request::get("http://h/").body(full("")).unwrap();
            Answer::read(client.send_request(request).await.unwrap())
                .await
                .status
        }
    });
    let statuses = futures_util::future::join_all(asked).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}
