//! Certificates by server name, hot and safe, and protocols by ALPN.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Version};
use meshlite_proto::subscribe::RejectReason;
use meshlite_snapshot::{
    HostMatch, Listener, ListenerProtocol, Name, PrivateKey, Resource, SniBinding, TlsPolicy,
    TlsSecret, TlsVersion,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    http2,
    mesh::{HTTPS, Mesh, secret},
    origin::{Answer, Client, Origin, full},
};

/// Longer than anything takes, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Takes any certificate; the test looks at which one it got.
#[derive(Debug)]
pub(super) struct TrustAll;

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let supported = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &supported)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let supported = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &supported)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

async fn handshake(
    address: SocketAddr,
    name: &str,
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

pub(super) async fn connect(
    address: SocketAddr,
    name: &str,
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    handshake(address, name, alpn, rustls::ALL_VERSIONS)
        .await
        .unwrap()
}

fn leaf(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn served(mesh: &Mesh, name: &str) -> Vec<u8> {
    leaf(&connect(mesh.https(), name, &[]).await)
}

pub(crate) fn mk_secret(hosts: &[HostMatch]) -> TlsSecret {
    let made = rcgen::generate_simple_self_signed(["test.example".to_owned()]).unwrap();
    let binding = |host: &HostMatch| SniBinding {
        listener: Name::new(HTTPS).unwrap(),
        host: host.clone(),
    };
    TlsSecret {
        certificate_chain: vec![Bytes::copy_from_slice(made.cert.der())],
        private_key: PrivateKey(made.signing_key.serialize_der().into()),
        bindings: hosts.iter().map(binding).collect(),
    }
}

fn exact(host: &str) -> HostMatch {
    HostMatch::Exact(host.into())
}

fn cert(secret: &TlsSecret) -> Vec<u8> {
    secret.certificate_chain[0].to_vec()
}

#[tokio::test]
async fn the_certificate_is_that_of_the_server_name() {
    let mut mesh = Mesh::start().await;
    let one = mk_secret(&[exact("foo.bar.com")]);
    let wild = mk_secret(&[HostMatch::OneLabel("foo.com".into())]);
    mesh.put("default/one", secret(one.clone()));
    mesh.put("default/wild", secret(wild.clone()));
    assert_eq!(mesh.apply().await, []);
    assert_eq!(served(&mesh, "foo.bar.com").await, cert(&one));
    assert_eq!(served(&mesh, "FOO.bar.com").await, cert(&one));
    assert_eq!(served(&mesh, "bar.foo.com").await, cert(&wild));
    let default = served(&mesh, "baz.bar.foo.com").await;
    assert!(default != cert(&one) && default != cert(&wild));
    // A client without SNI gets the same one.
    assert_eq!(served(&mesh, "127.0.0.1").await, default);
}

#[tokio::test]
async fn host_rule_1_an_exact_host_is_served_over_https() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("foo-bar-com").await;
    mesh.serve(&[origin.address]).await;
    let made = mk_secret(&[exact("foo.bar.com")]);
    mesh.put("default/made", secret(made.clone()));
    mesh.apply().await;
    let stream = connect(mesh.https(), "foo.bar.com", &[]).await;
    assert_eq!(leaf(&stream), cert(&made));
    let answer = Client::over(stream).await.get("foo.bar.com", "/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (200, "foo-bar-com")
    );
    let seen = origin.last();
    assert_eq!(seen.headers()["x-forwarded-proto"], "https");
    assert_eq!(seen.headers()["x-forwarded-port"], "443");
    assert_eq!(seen.headers()["host"], "foo.bar.com");
}

#[tokio::test]
async fn a_new_certificate_counts_for_new_connections_and_old_ones_live_on() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let (old, new) = (
        mk_secret(&[exact("h.example")]),
        mk_secret(&[exact("h.example")]),
    );
    mesh.put("default/tls", secret(old.clone()));
    mesh.apply().await;
    let stream = connect(mesh.https(), "h.example", &[]).await;
    assert_eq!(leaf(&stream), cert(&old));
    let mut client = Client::over(stream).await;
    assert_eq!(client.get("h.example", "/").await.status, 200);
    mesh.put("default/tls", secret(new.clone()));
    assert_eq!(mesh.apply().await, []);
    assert_eq!(served(&mesh, "h.example").await, cert(&new));
    assert_eq!(client.get("h.example", "/").await.status, 200);
}

#[tokio::test]
async fn a_bad_secret_is_rejected_and_the_last_good_one_stays() {
    let mut mesh = Mesh::start().await;
    let good = mk_secret(&[exact("h.example")]);
    mesh.put("default/tls", secret(good.clone()));
    mesh.apply().await;
    let mismatched = TlsSecret {
        private_key: mk_secret(&[]).private_key,
        ..good.clone()
    };
    let garbage = TlsSecret {
        private_key: PrivateKey(Bytes::from_static(b"garbage")),
        ..good.clone()
    };
    let empty = TlsSecret {
        certificate_chain: vec![],
        ..good.clone()
    };
    for bad in [mismatched, garbage, empty] {
        mesh.put("default/tls", secret(bad));
        let rejections = mesh.apply().await;
        assert_eq!(rejections.len(), 1, "{rejections:?}");
        assert_eq!(rejections[0].name.as_str(), "default/tls");
        assert_eq!(rejections[0].reason, RejectReason::Invalid);
        assert_eq!(served(&mesh, "h.example").await, cert(&good));
    }
}

#[tokio::test]
async fn a_removed_secret_leaves_the_default_certificate() {
    let mut mesh = Mesh::start().await;
    let default = mk_secret(&[]);
    let own = mk_secret(&[exact("h.example")]);
    let policy = TlsPolicy {
        min_version: TlsVersion::Tls12,
        default_certificate: Some(Name::new("default/default").unwrap()),
    };
    let listener = Listener {
        addresses: vec![],
        port: 443,
        proxy_port: 0,
        protocol: ListenerProtocol::Https,
        tls: Some(policy),
    };
    mesh.put(HTTPS, Resource::Listener(Arc::new(listener)));
    mesh.put("default/default", secret(default.clone()));
    mesh.put("default/own", secret(own.clone()));
    assert_eq!(mesh.apply().await, []);
    assert_eq!(served(&mesh, "h.example").await, cert(&own));
    mesh.remove(meshlite_snapshot::ResourceType::TlsSecret, "default/own");
    mesh.apply().await;
    assert_eq!(served(&mesh, "h.example").await, cert(&default));
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let stream = connect(mesh.https(), "h.example", &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = http2::connect(stream).await;
    let request = Request::get("https://h.example/x").body(full("")).unwrap();
    let answer = Answer::read(client.send_request(request).await.unwrap()).await;
    assert_eq!(
        (answer.version, answer.body.as_str()),
        (Version::HTTP_2, "web")
    );
    assert_eq!(origin.last().headers()["x-forwarded-proto"], "https");
    let stream = connect(mesh.https(), "h.example", &["http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(
        Client::over(stream)
            .await
            .get("h.example", "/")
            .await
            .version,
        Version::HTTP_11
    );
    let stream = connect(mesh.https(), "h.example", &["http/1.0"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.0"[..]));
}

#[tokio::test]
async fn who_agreed_on_http_2_is_not_heard_in_http_1() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut stream = connect(mesh.https(), "h.example", &["h2"]).await;
    let request = b"GET / HTTP/1.1\r\nHost: h.example\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // However it ends.
    let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    drop(ended.expect("an end"));
    assert!(!answer.starts_with(b"HTTP/1"), "{answer:?}");
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn an_answer_that_is_the_last_ends_with_the_last_word_of_tls() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let mut stream = connect(mesh.https(), "h.example", &["http/1.1"]).await;
    let request = b"GET / HTTP/1.1\r\nHost: h.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // Without that word it is an error.
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("an end").unwrap();
    assert!(answer.ends_with(b"web"), "{answer:?}");
}

#[tokio::test]
async fn a_listener_can_refuse_tls_1_2() {
    let mut mesh = Mesh::start().await;
    let tls12: &[_] = &[&rustls::version::TLS12];
    assert!(
        handshake(mesh.https(), "h.example", &[], tls12)
            .await
            .is_ok()
    );
    let listener = Listener {
        addresses: vec![],
        port: 443,
        proxy_port: 0,
        protocol: ListenerProtocol::Https,
        tls: Some(TlsPolicy {
            min_version: TlsVersion::Tls13,
            default_certificate: None,
        }),
    };
    mesh.put(HTTPS, Resource::Listener(Arc::new(listener)));
    assert_eq!(mesh.apply().await, []);
    assert!(
        handshake(mesh.https(), "h.example", &[], tls12)
            .await
            .is_err()
    );
    assert!(
        handshake(mesh.https(), "h.example", &[], rustls::ALL_VERSIONS)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn plain_http_on_the_tls_port_harms_nobody() {
    let mesh = Mesh::start().await;
    let request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    super::origin::exchange_bytes(mesh.https(), request, "").await;
    assert!(
        handshake(mesh.https(), "h.example", &[], rustls::ALL_VERSIONS)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_cheapest_cipher_is_taken_whatever_the_client_would_rather() {
    let mesh = Mesh::start().await;
    let dear = rustls::CipherSuite::TLS13_AES_256_GCM_SHA384;
    let offered = aws_lc_rs::default_provider().cipher_suites;
    assert_eq!(offered[0].suite(), dear, "what clients would rather");
    let stream = connect(mesh.https(), "h.example", &[]).await;
    let taken = stream.get_ref().1.negotiated_cipher_suite().unwrap();
    assert_eq!(taken.suite(), rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
}
