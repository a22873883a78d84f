//! The ingress is restarted in place, over and over, under load: no request fails and no connection ends.

mod hangup;
mod load;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    num::NonZeroUsize,
    os::unix::net::UnixStream,
    path::PathBuf,
};

use meshlite_compile::Settings;
use meshlite_control_plane::{Config, ControlPlane, Security, SourceConfig};
use meshlite_ingress::Ingress;
use meshlite_manifests::admit::AdmitSettings;
use meshlite_tests::process::free_port;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::load::{Door, Load};
use crate::{PROCESS, world::PATIENCE};

const RESTARTS: usize = 5;
/// Whose requests come over TLS.
const HOST: &str = "secure.example.com";

/// What ingresses follow and serve.
struct Site {
    folder: tempfile::TempDir,
    control_plane: String,
    http: SocketAddr,
    https: SocketAddr,
    certificate: CertificateDer<'static>,
    admin: SocketAddr,
    _ends: DropGuard,
}

impl Site {
    async fn new(origin: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifests = folder.path().join("manifests");
        fs::create_dir(&manifests).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([HOST.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let text = manifest(origin, &certificate.pem(), &key.serialize_pem());
        fs::write(manifests.join("web.yaml"), text).unwrap();
        let [http, https, admin] = [(); 3].map(|()| free_address());
        let control_plane = ControlPlane::bind(Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_listen: None,
            source: SourceConfig::Files {
                manifests,
                state_dir: None,
                admit: AdmitSettings::default(),
                pods: None,
            },
            settings: Settings {
                watch_ingress_without_class: true,
                http_proxy_port: http.port(),
                https_proxy_port: https.port(),
                ..Settings::default()
            },
            security: Security::Insecure,
            replica: "replica-1".into(),
        });
        let control_plane = control_plane.await.unwrap();
        let url = format!("http://{}", control_plane.grpc_addr());
        let stop = CancellationToken::new();
        tokio::spawn(Box::pin(control_plane.run(stop.clone())));
        Self {
            folder,
            control_plane: url,
            http,
            https,
            certificate: certificate.der().clone(),
            admin,
            _ends: stop.drop_guard(),
        }
    }

    fn doors(&self) -> [Door; 2] {
        let secure = Door::tls(self.https, HOST, self.certificate.clone());
        [Door::plain(self.http), secure]
    }

    fn admin(&self) -> Door {
        Door::plain(self.admin)
    }

    fn takeover(&self) -> PathBuf {
        self.folder.path().join("takeover.sock")
    }

    /// Starts an ingress with this many workers, and waits until it serves.
    async fn ingress(&self, workers: usize) -> JoinHandle<()> {
        let ingress = Ingress::bind(meshlite_ingress::Config {
            control_plane: vec![self.control_plane.clone()],
            address: self.http.ip(),
            admin_listen: Some(self.admin),
            workers: NonZeroUsize::new(workers),
            takeover: Some(self.takeover()),
            drain_timeout: PATIENCE * 4,
            ..meshlite_ingress::Config::default()
        });
        let ingress = ingress.await.unwrap();
        let serving = ingress.serving();
        let run = Box::pin(ingress.run(CancellationToken::new()));
        let run = tokio::spawn(async move { run.await.unwrap() });
        timeout(PATIENCE, serving.cancelled())
            .await
            .expect("it serves");
        run
    }
}

fn free_address() -> SocketAddr {
    ([127, 0, 0, 1], free_port().unwrap()).into()
}

fn manifest(origin: SocketAddr, certificate: &str, key: &str) -> String {
    let (ip, port) = (origin.ip(), origin.port());
    let (certificate, key) = [certificate, key]
        .map(|pem| pem.replace('\n', "\n    "))
        .into();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec:\n  ports: [{{port: 80, name: http}}]\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: web-a, labels: {{kubernetes.io/service-name: web}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {port}}}]\nendpoints: [{{addresses: [{ip}]}}]\n---\n\
         apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web}}\n\
         spec:\n  tls: [{{hosts: [{HOST}], secretName: web}}]\n\
         \x20 defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}\n---\n\
         apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: web}}\n\
         stringData:\n  tls.crt: |\n    {certificate}\n  tls.key: |\n    {key}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_that_is_restarted_in_place_fails_no_request_whatever_its_workers() {
    let _beside = PROCESS.read().await;
    let site = Site::new(load::origin().await).await;
    let mut ingresses = vec![site.ingress(2).await];
    let mut load = Load::start(&site.doors()).await;
    load.probe(site.admin());
    for restart in 0..RESTARTS {
        load.goes_on().await;
        ingresses.push(site.ingress([1, 3, 2, 4, 2][restart]).await);
    }
    load.goes_on().await;
    load.finish().await;
    // The last one is the only one that does not end.
    ingresses.pop().expect("one was started").abort();
    for ingress in ingresses {
        timeout(PATIENCE, ingress)
            .await
            .expect("it drains")
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_ends_before_it_serves_changes_nothing() {
    let _beside = PROCESS.read().await;
    let site = Site::new(load::origin().await).await;
    let first = site.ingress(2).await;
    let mut load = Load::start(&site.doors()).await;
    load.probe(site.admin());
    for said in [&b""[..], b"?", b"W"] {
        // In the words of `ingress/src/takeover/wire.rs`.
        let mut successor = UnixStream::connect(site.takeover()).unwrap();
        successor.set_read_timeout(Some(PATIENCE)).unwrap();
        successor.write_all(said).unwrap();
        let mut word = [0];
        // It has all the sockets, or was refused.
        while said == b"W" && word != *b"E" {
            successor.read_exact(&mut word).unwrap();
        }
        drop(successor);
        load.goes_on().await;
    }
    assert!(!first.is_finished());
    let second = site.ingress(1).await;
    load.goes_on().await;
    load.finish().await;
    second.abort();
    let ended = timeout(PATIENCE, first).await;
    ended.expect("it drains").unwrap();
}
