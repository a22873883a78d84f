//! The demo as a user runs it: it checks itself, and it runs a user's manifests.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn every_check_of_the_demo_passes() {
    let output = Command::new(env!("CARGO_BIN_EXE_meshlite"))
        .args(["demo", "--check"])
        .output()
        .expect("the binary runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stdout.lines().last().unwrap_or_default();
    let all_passed = last.starts_with("checks: ") && last.ends_with(" passed, 0 failed");
    assert!(all_passed && output.status.success(), "{stdout}\n{stderr}");
    let checks = stdout
        .lines()
        .filter(|line| line.starts_with("ok "))
        .count();
    assert!(checks >= 25, "only {checks} checks ran:\n{stdout}");
}

/// A demo that is killed if a test ends early, and what it prints.
struct Demo {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Demo {
    #[expect(clippy::expect_used, reason = "a test ends here if it fails")]
    fn start(manifests: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_meshlite"))
            .arg("demo")
            .arg("--manifests")
            .arg(manifests)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let output = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that the condition holds for.
    #[expect(clippy::panic, reason = "a test ends here if it fails")]
    fn wait_for(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            if condition(&line) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with {what} after:\n{}", seen.join("\n"));
    }
}

/// The first line of the body of an answer.
fn get(addr: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}

/// The container declares no port: the Service's targetPort is what must be served, as in a cluster.
fn manifest(replicas: u32) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: tutorial}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: tutorial}}}}
  template:
    metadata: {{labels: {{app: tutorial}}}}
    spec: {{containers: [{{name: c1, image: nginx}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: tutorial}}
spec:
  selector: {{app: tutorial}}
  ports: [{{port: 8060, targetPort: 80}}]
"
    )
}

#[test]
fn a_users_deployment_becomes_backends_that_follow_an_edit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("tutorial.yaml");
    std::fs::write(&file, manifest(2)).expect("written");
    let mut demo = Demo::start(&file);
    let row = demo.wait_for("the Service's address", |line| {
        line.starts_with("default") && line.contains("8060/TCP")
    });
    let mut words = row.split_whitespace();
    let addr = words
        .find_map(|word| word.parse::<SocketAddr>().ok())
        .expect("an address");
    assert!(row.ends_with("2/2"), "{row}");
    let pods = [get(addr).expect("an answer"), get(addr).expect("an answer")];
    assert!(
        pods.iter().all(|pod| pod.starts_with("tutorial-")),
        "{pods:?}"
    );
    assert_ne!(pods[0], pods[1], "the Pods take turns");

    std::fs::write(&file, manifest(1)).expect("written");
    let changed = "changed: Service default/tutorial: 2/2 ready, now 1/1 ready";
    demo.wait_for(changed, |line| line == changed);

    let pid = demo.child.id().to_string();
    let killed = Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .expect("kill runs");
    assert!(killed.success());
    assert_eq!(demo.child.wait().expect("it ends").code(), Some(0));
}
