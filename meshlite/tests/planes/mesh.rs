//! The planes as processes of their own on one manifest, and what is asked of them from outside.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tokio::time::Instant;

pub(crate) const DEADLINE: Duration = Duration::from_mins(1);
pub(crate) const ANY: &str = "127.0.0.1:0";

/// A process that is killed when it goes out of scope.
pub(crate) struct Plane {
    child: Child,
    log: mpsc::Receiver<serde_json::Value>,
    logged: Arc<Mutex<String>>,
}

impl Drop for Plane {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

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
        let logged = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&logged);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                all.lock().expect("nobody panics with it").push_str(&line);
                let event = serde_json::from_str(&line).unwrap_or_else(|_| line.into());
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self { child, log, logged }
    }

    /// Asks it to end, as a service manager does; gives its exit status.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.expect("kill runs").success());
        self.child.wait().expect("it ends").code()
    }

    /// Ends it without warning; gives all that it has logged.
    pub(crate) fn kill(self) -> String {
        let logged = Arc::clone(&self.logged);
        drop(self);
        // The thread that reads ends with the process.
        let start = Instant::now();
        while Arc::strong_count(&logged) > 1 {
            assert!(start.elapsed() < DEADLINE, "the log goes on");
            pause();
        }
        let logged = logged.lock().expect("nobody panics with it");
        logged.clone()
    }

    /// A field of the next event with this message.
    pub(crate) fn said(&self, message: &str, field: &str) -> String {
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
pub(crate) struct Mesh {
    folder: tempfile::TempDir,
    /// In memory.
    pub(crate) secrets: tempfile::TempDir,
    pub(crate) virtual_ip: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    /// How much the planes log.
    pub(crate) log_level: &'static str,
}

impl Mesh {
    pub(crate) fn new(number: u8) -> Self {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let virtual_ip = free(&format!("127.{}.{low}.{number}", 96 + high % 32));
        let mesh = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            secrets: tempfile::tempdir_in("/dev/shm").expect("a folder in memory"),
            virtual_ip,
            http: free("127.0.0.1"),
            https: free("127.0.0.1"),
            log_level: "info",
        };
        std::fs::create_dir(mesh.path("manifests")).expect("made");
        let manifest = manifest(virtual_ip, start_backend());
        std::fs::write(mesh.path("manifests/web.yaml"), manifest).expect("written");
        mesh
    }

    /// A file or folder of this mesh on the disk.
    pub(crate) fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn control_plane(&self) -> (Plane, String) {
        let plane = Plane::start(&[
            "control-plane",
            "--manifests",
            &self.path("manifests"),
            "--service-cidr=127.96.0.0/11",
            &format!("--ingress-http-port={}", self.http.port()),
            &format!("--ingress-https-port={}", self.https.port()),
            &format!("--listen={ANY}"),
            &format!("--admin-listen={ANY}"),
            &format!("--log-level={}", self.log_level),
        ]);
        let url = format!("http://{}", plane.said("control plane bound", "grpc"));
        (plane, url)
    }

    pub(crate) fn standalone(&self) -> Plane {
        Plane::start(&[
            "standalone",
            "--manifests",
            &self.path("manifests"),
            "--mode=userspace",
            "--service-cidr=127.96.0.0/11",
            "--address=127.0.0.1",
            &format!("--ingress-http-port={}", self.http.port()),
            &format!("--ingress-https-port={}", self.https.port()),
            &format!("--listen={ANY}"),
            &format!("--admin-listen={ANY}"),
            &format!("--metrics-bind-address={ANY}"),
            &format!("--healthz-bind-address={ANY}"),
            &format!("--ingress-admin-listen={ANY}"),
            "--nodeport-addresses=127.0.0.1",
        ])
    }

    pub(crate) fn node(&self, control_plane: &str) -> Plane {
        Plane::start(&[
            "node",
            "--node-name=n1",
            "--mode=userspace",
            &format!("--control-plane={control_plane}"),
            &format!("--state-dir={}", self.path("state")),
            &format!("--metrics-bind-address={ANY}"),
            &format!("--healthz-bind-address={ANY}"),
            "--nodeport-addresses=127.0.0.1",
            &format!("--log-level={}", self.log_level),
        ])
    }

    pub(crate) fn ingress(&self, control_plane: &str) -> Plane {
        let secrets = self.secrets.path().join("keys");
        Plane::start(&[
            "ingress",
            "--node-name=n1",
            "--address=127.0.0.1",
            &format!("--control-plane={control_plane}"),
            &format!("--state-dir={}", self.path("state")),
            &format!("--secrets-dir={}", secrets.display()),
            &format!("--admin-listen={ANY}"),
            &format!("--log-level={}", self.log_level),
        ])
    }
}

/// An address of this machine's loopback with a port that was free a moment ago.
pub(crate) fn free(ip: &str) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("loopback can be bound");
    listener.local_addr().expect("it is bound")
}

/// Answers every connection with a fixed response, for ever.
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
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// What is answered at an address, once `is_right` says that it is.
pub(crate) fn get(addr: &str, path: &str, is_right: impl Fn(&str) -> bool) -> String {
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

pub(crate) fn is_from_backend(answer: &str) -> bool {
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

pub(crate) fn meshlite(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meshlite"))
        .args(args)
        .output()
        .expect("the binary runs")
}

/// Runs a command until it exits with a status; gives what it prints.
pub(crate) fn prints(status: i32, args: &[&str]) -> String {
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
