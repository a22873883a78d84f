//! Certificates of clients, over real TLS: who passes, what the endpoint is told, and when the connection is the wrong one.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use meshlite_snapshot::{
    ClientAuth, ClientAuthMode, Credential, HostMatch, Name, PathMatch, Resource, RouteTable,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    mesh::{HTTP, HTTPS, Mesh, route},
    origin::{Answer, Client, Origin, full},
    tls::TrustAll,
};

/// A certificate with its key.
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn identity(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Shop, Inc.");
        params.distinguished_name.push(DnType::CommonName, "anna");
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (
            certificate.der().clone(),
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
    }

    fn credential(&self) -> Resource {
        Resource::Credential(Arc::new(Credential {
            authorities: vec![Bytes::copy_from_slice(self.0.der())],
            ..Credential::default()
        }))
    }
}

async fn connect(mesh: &Mesh, name: &str, identity: Option<&Identity>) -> TlsStream<TcpStream> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAll));
    let config = match identity {
        Some((certificate, key)) => config
            .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
            .unwrap(),
        None => config.with_no_client_auth(),
    };
    let stream = TcpStream::connect(mesh.https()).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

/// What a request to `host` gets on a connection with the server name `name`.
async fn ask(mesh: &Mesh, name: &str, host: &str, identity: Option<&Identity>) -> Answer {
    let stream = connect(mesh, name, identity).await;
    let request = Request::get("/a")
        .header("host", host)
        .header("ssl-client-verify", "SUCCESS");
    let request = request.body(full("")).unwrap();
    let response = Client::over(stream).await.send(request).await.unwrap();
    Answer::read(response).await
}

pub(crate) fn mk_rule(mode: ClientAuthMode) -> ClientAuth {
    ClientAuth {
        authorities: Name::new("default/staff").unwrap(),
        mode,
        depth: 1,
        forward_certificate: true,
        error_page: None,
        subject: None,
    }
}

fn put_host(mesh: &mut Mesh, host: &str, rule: Option<ClientAuth>) {
    let table = RouteTable {
        listeners: vec![Name::new(HTTP).unwrap(), Name::new(HTTPS).unwrap()],
        host: HostMatch::Exact(host.into()),
        routes: vec![route(PathMatch::Prefix, "/", "web")],
        client_auth: rule,
    };
    mesh.put(
        &format!("meshlite/{host}"),
        Resource::RouteTable(Arc::new(table)),
    );
}

/// A mesh with a guarded host and an open one.
async fn guarded(mode: ClientAuthMode) -> (Mesh, Origin, Authority) {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    let authority = Authority::new("staff");
    mesh.put_service("web", &[origin.address]);
    mesh.put("default/staff", authority.credential());
    put_host(&mut mesh, "guarded.example", Some(mk_rule(mode)));
    put_host(&mut mesh, "open.example", None);
    assert_eq!(mesh.apply().await, []);
    (mesh, origin, authority)
}

const GUARDED: &str = "guarded.example";
const OPEN: &str = "open.example";

#[tokio::test]
async fn only_clients_with_a_good_certificate_pass_and_the_endpoint_is_told() {
    let (mesh, origin, authority) = guarded(ClientAuthMode::Require).await;
    let (good, strange) = (authority.identity(), Authority::new("strangers").identity());
    assert_eq!(ask(&mesh, GUARDED, GUARDED, Some(&good)).await.status, 200);
    let seen = origin.last();
    for (name, value) in [
        ("ssl-client-verify", "SUCCESS"),
        ("ssl-client-subject-dn", "CN=anna,O=Shop\\, Inc."),
        ("ssl-client-issuer-dn", "CN=staff"),
    ] {
        assert_eq!(seen.headers()[name], value, "{name}");
    }
    let certificate = seen.headers()["ssl-client-cert"].to_str().unwrap();
    assert!(
        certificate.starts_with("-----BEGIN%20CERTIFICATE-----%0A"),
        "{certificate}"
    );
    let strange = ask(&mesh, GUARDED, GUARDED, Some(&strange)).await;
    assert_eq!(
        (strange.status.as_u16(), strange.body.as_str()),
        (400, "400 the client certificate is not accepted\n")
    );
    let none = ask(&mesh, GUARDED, GUARDED, None).await;
    assert_eq!(
        (none.status.as_u16(), none.body.as_str()),
        (400, "400 a client certificate is needed\n")
    );
    // Without TLS nobody can show one.
    assert_eq!(
        super::origin::get(mesh.http(), GUARDED, "/").await.status,
        400
    );
    // Who claims to have one has none.
    assert_eq!(ask(&mesh, OPEN, OPEN, None).await.status, 200);
    assert!(!origin.last().headers().contains_key("ssl-client-verify"));
    assert_eq!(origin.requests(), 2);
}

#[tokio::test]
async fn an_optional_certificate_may_be_missing_but_not_bad_unless_nobody_checks() {
    let (mut mesh, origin, authority) = guarded(ClientAuthMode::Optional).await;
    let strange = Authority::new("strangers").identity();
    assert_eq!(ask(&mesh, GUARDED, GUARDED, None).await.status, 200);
    assert_eq!(origin.last().headers()["ssl-client-verify"], "NONE");
    assert_eq!(
        ask(&mesh, GUARDED, GUARDED, Some(&strange)).await.status,
        400
    );
    let good = authority.identity();
    assert_eq!(ask(&mesh, GUARDED, GUARDED, Some(&good)).await.status, 200);
    put_host(
        &mut mesh,
        GUARDED,
        Some(mk_rule(ClientAuthMode::OptionalUnverified)),
    );
    mesh.apply().await;
    assert_eq!(
        ask(&mesh, GUARDED, GUARDED, Some(&strange)).await.status,
        200
    );
    assert_eq!(
        origin.last().headers()["ssl-client-verify"],
        "FAILED:unable to get local issuer certificate"
    );
}

#[tokio::test]
async fn only_subjects_that_the_expression_matches_pass() {
    let (mut mesh, origin, authority) = guarded(ClientAuthMode::Require).await;
    let anna = authority.identity();
    for (mode, subject, identity, expected) in [
        (ClientAuthMode::Require, "CN=(anna|bob)", Some(&anna), 200),
        (ClientAuthMode::Require, "^CN=ann,", Some(&anna), 403),
        (ClientAuthMode::Require, "CN=Anna", Some(&anna), 403),
        // Nobody's name is no name that may pass.
        (ClientAuthMode::Optional, "CN=anna", None, 403),
    ] {
        let rule = ClientAuth {
            subject: Some(subject.to_owned()),
            ..mk_rule(mode)
        };
        put_host(&mut mesh, GUARDED, Some(rule));
        assert_eq!(mesh.apply().await, []);
        let answer = ask(&mesh, GUARDED, GUARDED, identity).await;
        assert_eq!(answer.status, expected, "{subject}");
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_request_for_a_host_with_another_rule_is_misdirected() {
    let (mesh, origin, authority) = guarded(ClientAuthMode::Require).await;
    let good = authority.identity();
    for (name, host) in [(OPEN, GUARDED), (GUARDED, OPEN), ("127.0.0.1", GUARDED)] {
        let answer = ask(&mesh, name, host, Some(&good)).await;
        assert_eq!(answer.status, 421, "{name} {host}");
    }
    assert_eq!(origin.requests(), 0);
    // Where no rule differs, the host decides: a certificate may be for many.
    let (mut mesh, _origin, _authority) = guarded(ClientAuthMode::Require).await;
    put_host(&mut mesh, "also.example", None);
    mesh.apply().await;
    assert_eq!(ask(&mesh, OPEN, "also.example", None).await.status, 200);
}

#[tokio::test]
async fn without_known_authorities_nobody_passes_and_with_a_page_clients_are_sent_there() {
    let (mut mesh, _origin, authority) = guarded(ClientAuthMode::Require).await;
    let good = authority.identity();
    mesh.remove(meshlite_snapshot::ResourceType::Credential, "default/staff");
    mesh.apply().await;
    assert_eq!(ask(&mesh, GUARDED, GUARDED, Some(&good)).await.status, 503);
    mesh.put("default/staff", authority.credential());
    let rule = ClientAuth {
        error_page: Some("https://help.example/?from=$host".into()),
        ..mk_rule(ClientAuthMode::Require)
    };
    put_host(&mut mesh, GUARDED, Some(rule));
    mesh.apply().await;
    let answer = ask(&mesh, GUARDED, GUARDED, None).await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        "https://help.example/?from=guarded.example"
    );
    assert_eq!(ask(&mesh, GUARDED, GUARDED, Some(&good)).await.status, 200);
}
