//! The planes as processes of their own: restarts without a control plane, and what the command line says of them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_mins(1);
const ANY: &str = "127.0.0.1:0";

/// A process that is killed when it goes out of scope.
struct Plane {
    child: Child,
    log: mpsc::Receiver<serde_json::Value>,
}

impl Drop for Plane {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[expect(clippy::expect_used, reason = "a test ends here if it fails")]
impl Plane {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_meshlite"))
            .args(args)
            .args(["--log-format", "json"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| line.into());
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self { child, log }
    }

    /// A field of the next event with this message.
    fn said(&self, message: &str, field: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let event = self.log.recv_timeout(DEADLINE);
            let event = event.map_err(|_timeout| format!("no `{message}` after {seen:#?}"));
            let event = event.expect("an event within the deadline");
            if event["message"] == message {
                let value = &event[field];
                let text = value.as_str().map(str::to_owned);
                return text.unwrap_or_else(|| value.to_string());
            }
            seen.push(event.to_string());
        }
    }
}

/// The three planes on one manifest, and the folders of the data planes.
struct Mesh {
    folder: tempfile::TempDir,
    /// In memory.
    secrets: tempfile::TempDir,
    virtual_ip: SocketAddr,
    http: SocketAddr,
}

#[expect(clippy::expect_used, reason = "a test ends here if it fails")]
impl Mesh {
    fn new(number: u8) -> Self {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let virtual_ip = free(&format!("127.{}.{low}.{number}", 96 + high % 32));
        let mesh = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            secrets: tempfile::tempdir_in("/dev/shm").expect("a folder in memory"),
            virtual_ip,
            http: free("127.0.0.1"),
        };
        std::fs::create_dir(mesh.path("manifests")).expect("made");
        let manifest = manifest(virtual_ip, start_backend());
        std::fs::write(mesh.path("manifests/web.yaml"), manifest).expect("written");
        mesh
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }

    fn control_plane(&self) -> (Plane, String) {
        let https = free("127.0.0.1");
        let plane = Plane::start(&[
            "control-plane",
            "--manifests",
            &self.path("manifests"),
            "--service-cidr=127.96.0.0/11",
            &format!("--ingress-http-port={}", self.http.port()),
            &format!("--ingress-https-port={}", https.port()),
            &format!("--listen={ANY}"),
            &format!("--admin-listen={ANY}"),
        ]);
        let url = format!("http://{}", plane.said("control plane bound", "grpc"));
        (plane, url)
    }

    fn node(&self, control_plane: &str) -> Plane {
        Plane::start(&[
            "node",
            "--node-name=n1",
            "--mode=userspace",
            &format!("--control-plane={control_plane}"),
            &format!("--state-dir={}", self.path("state")),
            &format!("--metrics-bind-address={ANY}"),
            &format!("--healthz-bind-address={ANY}"),
            "--nodeport-addresses=127.0.0.1",
        ])
    }

    fn ingress(&self, control_plane: &str) -> Plane {
        let secrets = self.secrets.path().join("keys");
        Plane::start(&[
            "ingress",
            "--node-name=n1",
            "--address=127.0.0.1",
            &format!("--control-plane={control_plane}"),
            &format!("--state-dir={}", self.path("state")),
            &format!("--secrets-dir={}", secrets.display()),
            &format!("--admin-listen={ANY}"),
        ])
    }
}

/// An address of this machine's loopback with a port that was free a moment ago.
#[expect(clippy::expect_used, reason = "a test ends here if it fails")]
fn free(ip: &str) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("loopback can be bound");
    listener.local_addr().expect("it is bound")
}

/// Answers every connection with a fixed response, for ever.
#[expect(clippy::expect_used, reason = "a test ends here if it fails")]
fn start_backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
    let addr = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nbackend";
            if stream.read(&mut head).is_ok() {
                drop(stream.write_all(answer));
            }
        }
    });
    addr
}

/// Between two looks at another process.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no runtime here to block"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// What is answered at an address, once `is_right` says that it is.
fn get(addr: &str, path: &str, is_right: impl Fn(&str) -> bool) -> String {
    let ask = || {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) if is_right(&answer) => return answer,
            nearest => assert!(start.elapsed() < DEADLINE, "{path}: {nearest:?}"),
        }
        pause();
    }
}

fn is_from_backend(answer: &str) -> bool {
    answer.ends_with("backend")
}

fn manifest(virtual_ip: SocketAddr, backend: SocketAddr) -> String {
    let (ip, port) = (virtual_ip.ip(), virtual_ip.port());
    let (backend_ip, backend_port) = (backend.ip(), backend.port());
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{clusterIP: {ip}, ports: [{{port: {port}, targetPort: {backend_port}}}]}}}}
---
{{apiVersion: v1, kind: Endpoints, metadata: {{name: web}}, subsets: [{{addresses: [{{ip: {backend_ip}}}], ports: [{{port: {backend_port}}}]}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec: {{defaultBackend: {{service: {{name: web, port: {{number: {port}}}}}}}}}
"
    )
}

#[expect(clippy::expect_used, reason = "a test ends here if it fails")]
fn meshlite(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meshlite"))
        .args(args)
        .output()
        .expect("the binary runs")
}

/// Runs a command until it exits with a status; gives what it prints.
fn prints(status: i32, args: &[&str]) -> String {
    let start = Instant::now();
    loop {
        let output = meshlite(args);
        if output.status.code() == Some(status) {
            return String::from_utf8_lossy(&output.stdout).into_owned();
        }
        assert!(start.elapsed() < DEADLINE, "{args:?}: {output:?}");
        pause();
    }
}

#[test]
fn data_planes_restart_without_a_control_plane_and_traffic_flows() {
    let mesh = Mesh::new(1);
    let (virtual_ip, http) = (mesh.virtual_ip.to_string(), mesh.http.to_string());
    let (control_plane, url) = mesh.control_plane();
    let (node, ingress) = (mesh.node(&url), mesh.ingress(&url));
    get(&virtual_ip, "/", is_from_backend);
    get(&http, "/", is_from_backend);
    prints(0, &["status", "--control-plane", &url]);
    for kept in ["state/node", "state/ingress"] {
        let start = Instant::now();
        let is_kept = || {
            let files = std::fs::read_dir(mesh.path(kept));
            files.is_ok_and(|mut files| files.next().is_some())
        };
        while !is_kept() {
            assert!(start.elapsed() < DEADLINE, "nothing in {kept}");
            pause();
        }
    }
    // Killed, so that nothing is put in order for the restart.
    drop((control_plane, node, ingress));

    let (node, ingress) = (mesh.node(&url), mesh.ingress(&url));
    let metrics = node.said("node bound", "metrics");
    let admin = ingress.said("ingress bound", "admin");
    let (metrics, admin) = (inner(&metrics), inner(&admin));
    get(&virtual_ip, "/", is_from_backend);
    get(&http, "/", is_from_backend);
    let is_ready = |answer: &str| answer.starts_with("HTTP/1.1 200");
    get(&metrics, "/readyz", is_ready);
    get(&admin, "/readyz", is_ready);
    for (plane, address) in [("node", &metrics), ("ingress", &admin)] {
        let is_provisional = |answer: &str| answer.contains("\"provisional\":true");
        let snapshot = get(address, "/snapshot", is_provisional);
        assert!(snapshot.contains("\"age_seconds\":"), "{snapshot}");
        let gauge = format!("meshlite_{plane}_snapshot_provisional 1");
        let scraped = get(address, "/metrics", |answer| answer.contains(&gauge));
        let age = format!("meshlite_{plane}_snapshot_age_seconds ");
        assert!(scraped.contains(&age), "{scraped}");
    }
}

#[test]
fn people_see_where_everybody_stands_and_what_is_installed() {
    let mesh = Mesh::new(2);
    let (_control_plane, url) = mesh.control_plane();
    let (node, ingress) = (mesh.node(&url), mesh.ingress(&url));
    let metrics = node.said("node bound", "metrics");
    let admin = ingress.said("ingress bound", "admin");
    get(&mesh.virtual_ip.to_string(), "/", is_from_backend);
    get(&mesh.http.to_string(), "/", is_from_backend);

    let control_plane = ["--control-plane", url.as_str()];
    let ask = |status, args: &[&str]| prints(status, &[args, &control_plane].concat());
    let table = ask(0, &["status"]);
    let row = |role| {
        let is_row = |line: &&str| line.starts_with("n1") && line.contains(role);
        let line = table.lines().find(is_row);
        line.unwrap_or_else(|| panic!("no {role} in\n{table}"))
    };
    for role in [" node ", " ingress "] {
        assert!(row(role).contains(" yes "), "{table}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&ask(0, &["status", "-o", "json"])).expect("JSON");
    assert_eq!(json["converged"], true);
    assert_eq!(json["totals"]["nodes"], 1);
    let id = json["clients"][1]["id"].as_str().expect("an id");
    let diff = ask(0, &["diff", id]);
    assert!(
        diff.contains("converged") && !diff.contains("PENDING"),
        "{diff}"
    );

    let node = format!("http://{}", inner(&metrics));
    let services = ask(0, &["get", "services"]);
    assert!(services.contains("1/1"), "{services}");
    assert_eq!(
        prints(
            0,
            &["get", "services", "web", "-n", "default", "--node", &node]
        ),
        services,
        "the node has what is served"
    );
    let endpoints = ask(0, &["get", "endpoints", "web", "-o", "wide"]);
    assert!(endpoints.contains("Ready"), "{endpoints}");
    let ingress = format!("http://{}", inner(&admin));
    let routes = prints(0, &["get", "routes", "--node", &ingress]);
    assert!(routes.contains("Ingress default/web"), "{routes}");
    assert!(prints(0, &["get", "snapshot", "--node", &ingress]).contains("DIGESTS"));
    assert_eq!(ask(0, &["get", "certificates"]), "no certificates\n");
}

#[test]
fn who_cannot_be_asked_or_found_is_told_from_who_differs() {
    let nobody = ["--control-plane", "http://127.0.0.1:1"];
    for command in [&["status"][..], &["diff", "n1"]] {
        let output = meshlite(&[command, &nobody].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("cannot connect to http://127.0.0.1:1"),
            "{said}"
        );
        assert!(said.contains("--control-plane"), "{said}");
    }
    let output = meshlite(&["get", "services", "--node", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is it the admin server of a node"), "{said}");
}

#[test]
fn private_keys_are_kept_in_memory_or_not_at_all() {
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let keys: &Path = disk.path();
    let keys = format!("--secrets-dir={}", keys.display());
    let state = format!("--state-dir={}", disk.path().display());
    let any = format!("--admin-listen={ANY}");
    let output = meshlite(&["ingress", &any, &state, &keys]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is not memory"), "{said}");
}

/// The address in `Some(127.0.0.1:10249)`.
fn inner(logged: &str) -> String {
    let inner = logged.strip_prefix("Some(");
    let inner = inner.and_then(|rest| rest.strip_suffix(')'));
    inner.unwrap_or(logged).to_owned()
}
