//! `meshlite standalone` as an operator runs it: manifests in, traffic out, an orderly end on SIGTERM.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(20);

/// A process that is killed if a test ends early.
struct Standalone {
    child: Child,
    log: mpsc::Receiver<serde_json::Value>,
}

impl Drop for Standalone {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Standalone {
    #[expect(clippy::expect_used, reason = "a test ends here if it fails")]
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_meshlite"))
            .args(["standalone", "--log-format", "json"])
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            let parsed = lines
                .map_while(Result::ok)
                .map(|line| serde_json::from_str(&line));
            for event in parsed.map_while(Result::ok) {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Self { child, log }
    }

    /// The next event with this message.
    #[expect(clippy::expect_used, reason = "a test ends here if it fails")]
    fn wait_for(&self, message: &str) -> serde_json::Value {
        let mut seen = Vec::new();
        loop {
            let event = self.log.recv_timeout(DEADLINE);
            let event = event.map_err(|_timeout| format!("no `{message}` after {seen:#?}"));
            let event = event.expect("an event within the deadline");
            if event["message"] == message {
                return event;
            }
            seen.push(event["message"].to_string());
        }
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

/// The body that is answered at an address, once it is.
fn get(addr: SocketAddr, host: &str) -> String {
    let ask = || {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let deadline = Instant::now() + DEADLINE;
    loop {
        match ask() {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => return answer,
            other if Instant::now() > deadline => return format!("{other:?}"),
            _ => std::thread::yield_now(),
        }
    }
}

fn manifest(virtual_ip: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{clusterIP: {}, ports: [{{port: {}, targetPort: {}}}]}}}}
---
{{apiVersion: v1, kind: Endpoints, metadata: {{name: web}}, subsets: [{{addresses: [{{ip: {}}}], ports: [{{port: {}}}]}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec: {{defaultBackend: {{service: {{name: web, port: {{number: {}}}}}}}}}
",
        virtual_ip.ip(),
        virtual_ip.port(),
        backend.port(),
        backend.ip(),
        backend.port(),
        virtual_ip.port(),
    )
}

#[test]
fn manifests_become_traffic_on_both_data_planes_until_sigterm() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // All of 127.0.0.0/8 is local; the address is this process's own.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let virtual_ip = free(&format!("127.{}.{low}.1", 64 + high % 32));
    let (http, https) = (free("127.0.0.1"), free("127.0.0.1"));
    std::fs::write(
        folder.path().join("web.yaml"),
        manifest(virtual_ip, start_backend()),
    )
    .expect("written");
    let any_port = "127.0.0.1:0";
    let mut standalone = Standalone::start(&[
        "--manifests",
        folder.path().to_str().expect("UTF-8"),
        "--mode=userspace",
        "--service-cidr=127.64.0.0/10",
        "--address=127.0.0.1",
        &format!("--ingress-http-port={}", http.port()),
        &format!("--ingress-https-port={}", https.port()),
        &format!("--listen={any_port}"),
        &format!("--admin-listen={any_port}"),
        &format!("--metrics-bind-address={any_port}"),
        &format!("--healthz-bind-address={any_port}"),
        &format!("--ingress-admin-listen={any_port}"),
    ]);
    let grpc = standalone.wait_for("control plane bound")["grpc"].to_string();
    assert!(
        get(virtual_ip, "any").ends_with("backend"),
        "through the node"
    );
    assert!(
        get(http, "any.example.com").ends_with("backend"),
        "through the ingress"
    );

    let url = format!("http://{}", grpc.trim_matches('"'));
    let table = Command::new(env!("CARGO_BIN_EXE_meshlite"))
        .args(["get", "snapshot", "--control-plane", &url])
        .output()
        .expect("the binary runs");
    let table = String::from_utf8(table.stdout).expect("UTF-8");
    assert!(table.contains("Ingress default/web"), "{table}");

    let pid = standalone.child.id().to_string();
    let killed = Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .expect("kill runs");
    assert!(killed.success());
    let status = standalone.child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
}
