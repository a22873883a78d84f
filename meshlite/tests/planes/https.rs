//! HTTPS without a control plane, and private keys that are nowhere but in memory.

use std::{fs, io, io::Read as _, io::Write as _, net::TcpStream, path::Path, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::aws_lc_rs,
    pki_types::ServerName,
};
use rustls_pki_types::CertificateDer;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    marker::Marker,
    mesh::{DEADLINE, Mesh, get, is_from_backend, meshlite, pause, prints},
};

const HOST: &str = "shop.example.com";

/// A certificate of the host in the manifests of a mesh.
struct Secure {
    certificate: CertificateDer<'static>,
    pem: String,
    key: Marker,
}

impl Secure {
    fn new(mesh: &Mesh) -> Self {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]);
        let made = made.expect("a certificate");
        let pem = made.signing_key.serialize_pem();
        let secure = Self {
            certificate: made.cert.der().clone(),
            key: Marker::new(&made.signing_key.serialize_der(), &pem),
            pem,
        };
        secure.write(mesh, &made.cert.pem());
        secure
    }

    /// Writes an Ingress of the host and its Secret, which has the key and this certificate.
    fn write(&self, mesh: &Mesh, certificate: &str) {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "shop"},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": self.pem},
        });
        let port = json!({"number": mesh.virtual_ip.port()});
        let backend = json!({"service": {"name": "web", "port": port}});
        let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "shop"},
            "spec": {
                "tls": [{"hosts": [HOST], "secretName": "shop"}],
                "rules": [{"host": HOST, "http": {"paths": [path]}}],
            },
        });
        let manifest = format!("{secret}\n---\n{ingress}\n");
        fs::write(mesh.path("manifests/shop.yaml"), manifest).expect("written");
    }

    /// Waits until the host is served over HTTPS with its certificate.
    fn is_served(&self, mesh: &Mesh) {
        let start = Instant::now();
        loop {
            match self.get(mesh) {
                Ok(answer) if is_from_backend(&answer) => return,
                nearest => assert!(start.elapsed() < DEADLINE, "{nearest:?}"),
            }
            pause();
        }
    }

    fn get(&self, mesh: &Mesh) -> io::Result<String> {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.certificate.clone()).expect("it is one");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the defaults are there")
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let name = ServerName::try_from(HOST).expect("a host's name");
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let stream = TcpStream::connect(mesh.https)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let mut stream = StreamOwned::new(connection, stream);
        let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The files in a folder that hold the key.
    fn files_with_key(&self, folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("it is listed").path();
            if path.is_dir() {
                found.extend(self.files_with_key(&path));
            } else if let Some(form) = self.key.found_in(&fs::read(&path).unwrap_or_default()) {
                found.push(format!("{}: {form}", path.display()));
            }
        }
        found
    }

    /// Waits until an ingress could restart: with what it needs on the disk and the key in memory.
    fn is_kept(&self, mesh: &Mesh) {
        let start = Instant::now();
        let kept = || {
            let on_disk = fs::read_dir(mesh.path("state/ingress"));
            let is_on_disk = on_disk.is_ok_and(|mut files| files.next().is_some());
            is_on_disk && !self.files_with_key(mesh.secrets.path()).is_empty()
        };
        while !kept() {
            assert!(start.elapsed() < DEADLINE, "the key is kept nowhere");
            pause();
        }
    }
}

#[test]
fn an_ingress_restarts_with_https_without_a_control_plane_and_no_key_is_on_the_disk() {
    let mesh = Mesh::new(3);
    let secure = Secure::new(&mesh);
    let (control_plane, url) = mesh.control_plane();
    let ingress = mesh.ingress(&url);
    secure.is_served(&mesh);
    prints(0, &["status", "--control-plane", &url]);
    secure.is_kept(&mesh);
    // Killed, so that nothing is put in order for the restart.
    drop((control_plane, ingress));

    let ingress = mesh.ingress(&url);
    secure.is_served(&mesh);
    let admin = ingress.said("ingress bound", "admin");
    get(&admin, "/snapshot", |answer| {
        answer.contains("\"provisional\":true")
    });
    let state = mesh.path("state");
    assert_eq!(secure.files_with_key(state.as_ref()), [""; 0]);
}

/// Everything that people and tools can ask for.
fn dumps(url: &str, ingress: &str) -> Vec<(String, Vec<u8>)> {
    let mut dumps = Vec::new();
    let of_node = format!("--node=http://{ingress}");
    let of_server = format!("--control-plane={url}");
    for whom in [&of_node, &of_server] {
        for what in ["certificates", "snapshot"] {
            for format in ["table", "yaml", "json"] {
                let args = ["get", what, "-o", format, whom];
                let output = meshlite(&args);
                assert!(output.status.success(), "{args:?}: {output:?}");
                dumps.push((args.join(" "), output.stdout));
            }
        }
    }
    for path in [
        "/snapshot",
        "/resources/TlsSecret",
        "/listeners",
        "/metrics",
    ] {
        let answer = get(ingress, path, |answer| answer.starts_with("HTTP/1.1 200"));
        dumps.push((path.to_owned(), answer.into_bytes()));
    }
    dumps
}

/// What is wrong with the Secret, once something is.
fn findings(url: &str) -> String {
    let start = Instant::now();
    loop {
        let found = prints(
            0,
            &["get", "snapshot", "-o", "json", "--control-plane", url],
        );
        let json: serde_json::Value = serde_json::from_str(&found).expect("JSON");
        let findings = json["findings"].to_string();
        if findings.contains("tls.crt") {
            return findings;
        }
        assert!(start.elapsed() < DEADLINE, "nothing is wrong: {found}");
        pause();
    }
}

#[test]
fn private_keys_are_in_no_log_and_no_dump() {
    let mut mesh = Mesh::new(4);
    mesh.log_level = "trace";
    let secure = Secure::new(&mesh);
    let (control_plane, url) = mesh.control_plane();
    let (node, ingress) = (mesh.node(&url), mesh.ingress(&url));
    secure.is_served(&mesh);
    let admin = ingress.said("ingress bound", "admin");
    prints(0, &["status", "--control-plane", &url]);
    for (name, dump) in dumps(&url, &admin) {
        assert_eq!(secure.key.found_in(&dump), None, "{name}");
    }
    // Also where the Secret is wrong, and is complained of.
    secure.write(&mesh, "no certificate");
    let findings = findings(&url);
    assert_eq!(secure.key.found_in(findings.as_bytes()), None, "{findings}");
    for (name, plane) in [
        ("control plane", control_plane),
        ("node", node),
        ("ingress", ingress),
    ] {
        let logged = plane.kill();
        assert!(logged.contains("TRACE"), "{name} logs everything");
        assert_eq!(secure.key.found_in(logged.as_bytes()), None, "{name}");
    }
}
