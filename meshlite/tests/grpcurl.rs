//! What a user sees with grpcurl: the real one, from outside, against a running control plane.
#![cfg(test)]

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// A control plane on an example, as a process of its own.
struct ControlPlane {
    process: Child,
    address: String,
}

impl ControlPlane {
    /// Starts the command and waits until it says where it listens.
    fn start(manifests: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_meshlite"))
            .args([
                "control-plane",
                "--listen=127.0.0.1:0",
                "--admin-listen=127.0.0.1:0",
                "--log-format=json",
            ])
            .arg(format!("--manifests={}", root().join(manifests).display()))
            .stderr(Stdio::piped())
            .spawn()
            .expect("meshlite starts");
        let log = process.stderr.take().expect("stderr is piped");
        let (found, address) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) else {
                    continue;
                };
                if let Some(address) = event.get("grpc").and_then(|a| a.as_str()) {
                    found.send(address.to_owned()).ok();
                }
            }
        });
        // Made before the wait, so that the process ends with the test also where the wait fails.
        let mut server = Self {
            process,
            address: String::new(),
        };
        server.address = address
            .recv_timeout(Duration::from_secs(20))
            .expect("the log names the gRPC address");
        server
    }

    /// Runs grpcurl against it, again while the first compile is not done.
    fn grpcurl(&self, before: &[&str], after: &[&str]) -> String {
        let mut last = String::new();
        for _ in 0..100 {
            let output = Command::new(grpcurl())
                .args(["-plaintext", "-max-time", "10"])
                .args(before)
                .arg(&self.address)
                .args(after)
                .output()
                .expect("grpcurl runs");
            if output.status.success() {
                return String::from_utf8(output.stdout).expect("grpcurl prints UTF-8");
            }
            last = said(&output);
            assert!(last.contains("Unavailable"), "grpcurl {after:?}: {last}");
            thread::park_timeout(Duration::from_millis(50));
        }
        panic!("still unavailable: {last}");
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("meshlite/ is in the work tree")
}

/// grpcurl from PATH or from where `make tools` puts it.
fn grpcurl() -> PathBuf {
    let cached = root().join(".cache/bin/grpcurl");
    if cached.exists() {
        cached
    } else {
        PathBuf::from("grpcurl")
    }
}

/// Whether grpcurl is there. Says aloud where it is not; in CI that is a failure.
fn can_run() -> bool {
    let there = Command::new(grpcurl()).arg("-version").output().is_ok();
    if !there {
        eprintln!("NOT RUN: grpcurl is not installed; `make tools` installs it");
        assert!(
            env::var_os("CI").is_none(),
            "grpcurl is not installed, and CI must run this test"
        );
    }
    there
}

#[test]
fn grpcurl_lists_describes_and_fetches() {
    if !can_run() {
        return;
    }
    let server = ControlPlane::start("deploy/examples/ingress.yaml");

    let listed = server.grpcurl(&[], &["list"]);
    for service in [
        "grpc.health.v1.Health",
        "meshlite.discovery.v1.SnapshotDiscovery",
        "meshlite.discovery.v1.SnapshotStatus",
    ] {
        assert!(
            listed.contains(service),
            "{service} is not listed:\n{listed}"
        );
    }

    let described = server.grpcurl(
        &[],
        &["describe", "meshlite.discovery.v1.SnapshotDiscovery"],
    );
    assert!(described.contains("rpc FetchSnapshot"), "{described}");

    let fetched = server.grpcurl(
        &[],
        &["meshlite.discovery.v1.SnapshotDiscovery/FetchSnapshot"],
    );
    for readable in [
        "\"clusterIps\"",
        "\"exact\": \"a.example.com\"",
        "\"oneLabel\": \"b.example.com\"",
        "\"expected\"",
    ] {
        assert!(
            fetched.contains(readable),
            "{readable} is not in:\n{fetched}"
        );
    }

    // As the data planes show them, to be compared by eye.
    let digest = fetched
        .rsplit_once("\"digest\": \"")
        .expect("digests are there")
        .1;
    let is_hex = digest.bytes().take(32).all(|byte| byte.is_ascii_hexdigit());
    assert!(is_hex && digest.get(32..33) == Some("\""), "{fetched}");

    let filter = r#"{"topics": [{"type": "SERVICE"}], "namePrefix": "team-a/"}"#;
    let dumped = server.grpcurl(
        &["-d", filter],
        &["meshlite.discovery.v1.SnapshotStatus/DumpResources"],
    );
    assert!(
        dumped.contains("team-a/a") && !dumped.contains("team-b"),
        "{dumped}"
    );
}

#[test]
fn grpcurl_sees_the_control_plane_healthy() {
    if !can_run() {
        return;
    }
    let server = ControlPlane::start("deploy/examples/cluster-ip.yaml");
    server.grpcurl(
        &[],
        &["meshlite.discovery.v1.SnapshotStatus/GetServerStatus"],
    );
    let health = server.grpcurl(&[], &["grpc.health.v1.Health/Check"]);
    assert!(
        health.contains("SERVING") && !health.contains("NOT_SERVING"),
        "{health}"
    );
}

#[test]
fn an_unknown_manifest_path_names_its_flag() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_meshlite"))
        .args([
            "control-plane",
            "--listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
            "--manifests=/does/not/exist",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .expect("meshlite starts");
    let mut said = String::new();
    process
        .stderr
        .take()
        .expect("stderr is piped")
        .read_to_string(&mut said)
        .expect("stderr is readable");
    assert!(!process.wait().expect("meshlite ends").success());
    assert!(
        said.contains("--manifests") && said.contains("/does/not/exist"),
        "{said}"
    );
}
