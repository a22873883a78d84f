//! The command as a user runs it: what it prints and how it exits.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

#[expect(clippy::expect_used, reason = "a test ends here if it fails")]
fn meshlite(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meshlite"))
        .args(args)
        .output()
        .expect("the binary runs")
}

#[expect(clippy::expect_used, reason = "a test ends here if it fails")]
fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn mistakes_in_flags_variables_and_logging_are_reported_together_with_status_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_meshlite"))
        .args(["node", "--mode", "iptables", "--log-format", "xml"])
        .env("MESHLITE_HEALTHZ_BIND_ADDRESS", "10256")
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr),
        "\
meshlite: --log-format (MESHLITE_LOG_FORMAT): `xml` is not text or json
meshlite: --mode (MESHLITE_MODE): `iptables` is not one of auto, ipvs, nftables, userspace, memory
meshlite: --healthz-bind-address (MESHLITE_HEALTHZ_BIND_ADDRESS): `10256` is not an address with a port, such as 127.0.0.1:18000 or [::1]:18000
meshlite: For more, try --help.
"
    );
}

#[test]
fn an_unknown_flag_is_a_usage_error_and_help_is_not() {
    let unknown = meshlite(&["node", "--mod", "ipvs"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        text(&unknown.stderr).contains("--mode"),
        "{}",
        text(&unknown.stderr)
    );
    let help = meshlite(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in [
        "control-plane",
        "node",
        "ingress",
        "standalone",
        "demo",
        "get",
        "status",
        "preflight",
        "completions",
        "version",
    ] {
        assert!(
            text(&help.stdout).contains(&format!("\n  {command} ")),
            "{command} is missing"
        );
    }
    assert!(text(&help.stdout).contains("meshlite demo"), "no example");
}

#[test]
fn the_version_is_printed_for_people_and_for_tools() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(text(&meshlite(&["version"]).stdout).starts_with(&format!("meshlite {version} (")));
    let json: serde_json::Value =
        serde_json::from_slice(&meshlite(&["version", "-o", "json"]).stdout).expect("JSON");
    assert_eq!(json["version"], version);
    assert_eq!(json["protocol"], "meshlite.discovery.v1");
}

#[test]
fn a_server_that_is_not_there_is_a_failure_that_says_what_to_do() {
    // Port 1 of loopback: nobody listens there.
    let output = meshlite(&["get", "snapshot", "--control-plane", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("cannot fetch the snapshot: cannot connect to http://127.0.0.1:1"),
        "{said}"
    );
    assert!(said.contains("--control-plane"), "{said}");
}

#[test]
fn an_ingress_that_nobody_could_take_over_from_says_so_before_it_serves() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("away/takeover.sock");
    let takeover = format!("--takeover={}", path.display());
    let output = meshlite(&["ingress", "--admin-listen=", &takeover]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for word in [
        &takeover.replace('=', " "),
        "No such file",
        "a folder that exists",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

const MANIFEST: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  clusterIP: 10.96.1.2
  ports:
  - port: 6666
    targetPort: 80
---
apiVersion: v1
kind: Endpoints
metadata:
  name: web
subsets:
- addresses:
  - ip: 10.0.17.100
  ports:
  - port: 80
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
---
apiVersion: v1
kind: Service
metadata:
  name: broken
spec:
  ports:
  - port: 80
    nodeport: 30080
";

#[test]
fn manifests_are_compiled_without_a_server_and_findings_are_no_failure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("web.yaml");
    std::fs::write(&file, MANIFEST).expect("the manifest is written");
    let get = |format| {
        meshlite(&[
            "get",
            "snapshot",
            "--manifests",
            file.to_str().expect("UTF-8"),
            "-o",
            format,
        ])
    };
    let table = get("table");
    assert_eq!(table.status.code(), Some(0), "{}", text(&table.stderr));
    let table = text(&table.stdout);
    let row = table
        .lines()
        .find(|line| line.contains(" web "))
        .expect("a row for the Service");
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "default",
            "web",
            "ClusterIP",
            "10.96.1.2",
            "<none>",
            "6666/TCP",
            "1/1",
            "10.0.17.100:80"
        ],
        "{table}"
    );
    assert!(table.contains("did you mean nodePort?"), "{table}");
    assert!(table.contains("web.yaml:"), "{table}");
    assert!(table.contains("1 ConfigMap"), "{table}");
    let json: serde_json::Value = serde_json::from_slice(&get("json").stdout).expect("JSON");
    let types: Vec<_> = json["resources"]
        .as_array()
        .expect("resources")
        .iter()
        .map(|item| &item["type"])
        .collect();
    assert!(types.contains(&&serde_json::json!("Service")), "{types:?}");
    assert_eq!(json["findings"][0]["severity"], "Error");
    assert_eq!(
        text(&get("yaml").stdout),
        text(&get("yaml").stdout),
        "the same input prints the same"
    );
}

#[test]
fn what_is_watched_is_printed_again_when_it_changes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("web.yaml");
    std::fs::write(&file, MANIFEST).expect("the manifest is written");
    let mut watching = Command::new(env!("CARGO_BIN_EXE_meshlite"))
        .args(["get", "snapshot", "--watch", "--manifests"])
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let out = BufReader::new(watching.stdout.take().expect("its output"));
    let (said, says) = mpsc::channel();
    let reader = thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        lines
            .take_while(|line| said.send(line.clone()).is_ok())
            .count()
    });
    let mut seen = Vec::new();
    let mut until = |word: &str| {
        while let Ok(line) = says.recv_timeout(Duration::from_mins(1)) {
            seen.push(line);
            if seen.last().is_some_and(|line| line.contains(word)) {
                return;
            }
        }
        panic!("no {word} in {seen:#?}");
    };
    until("6666/TCP");
    let changed = MANIFEST.replace("6666", "7777");
    std::fs::write(&file, changed).expect("the manifest is written");
    until("7777/TCP");
    watching.kill().expect("it is there");
    watching.wait().expect("it ends");
    drop(says);
    reader.join().expect("its reader ends");
}

#[test]
fn man_and_completions_are_printed_and_what_is_unknown_is_wrong_usage() {
    let page = meshlite(&["man", "node", "init"]);
    assert_eq!(page.status.code(), Some(0));
    assert!(text(&page.stdout).contains(".TH meshlite-node-init 1"));
    let script = meshlite(&["completions", "bash"]);
    assert!(text(&script.stdout).contains("_meshlite()"));
    for unknown in [["man", "nod"], ["completions", "dos"]] {
        let output = meshlite(&unknown);
        assert_eq!(output.status.code(), Some(2), "{unknown:?}");
        assert!(text(&output.stderr).contains("--help"), "{unknown:?}");
    }
}
