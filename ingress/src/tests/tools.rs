//! Tools that others judge servers by: h2spec, sslscan and slowhttptest.

use std::{fs, time::Duration};

use super::{
    mesh::{Mesh, eventually},
    origin::{Origin, get},
    programs,
};

/// The one case that means nothing without TLS: a client whose first bytes are not the preface speaks HTTP/1.1 there, and is
/// answered with 400 before its connection is closed; the case wants it closed without a word.
const NOT_WITHOUT_TLS: &str = "Sends invalid connection preface";

/// Runs all of h2spec, also what is strict, and shows what failed.
async fn pass_h2spec(is_tls: bool) {
    let Some(h2spec) = programs::find("h2spec") else {
        return;
    };
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let address = if is_tls { mesh.https() } else { mesh.http() };
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.xml");
    let port = address.port().to_string();
    let mut arguments = vec!["--strict", "--timeout", "10", "--port", &port];
    arguments.extend(["--junit-report", report.to_str().unwrap()]);
    if is_tls {
        arguments.extend(["--tls", "--insecure"]);
    }
    let said = programs::said(&h2spec, &arguments).await;
    let report = fs::read_to_string(report).unwrap_or_default();
    let cases: Vec<_> = report.split("<testcase ").skip(1).collect();
    assert!(cases.len() >= 146, "{said}");
    let failed = |case: &&&str| case.contains("<failure") || case.contains("<error");
    let failed: Vec<_> = cases.iter().filter(failed).collect();
    let is_http1 = matches!(&*failed, [only] if only.contains(NOT_WITHOUT_TLS)) && !is_tls;
    assert!(failed.is_empty() || is_http1, "{said}");
}

#[tokio::test]
async fn h2spec_finds_nothing_over_tls() {
    pass_h2spec(true).await;
}

#[tokio::test]
async fn h2spec_finds_nothing_without_tls() {
    pass_h2spec(false).await;
}

#[tokio::test]
async fn sslscan_finds_modern_tls_and_nothing_else() {
    let Some(sslscan) = programs::find("sslscan") else {
        return;
    };
    let mesh = Mesh::start().await;
    let target = mesh.https().to_string();
    let said = programs::said(&sslscan, &["--xml=-", &target]).await;
    let enabled: Vec<_> = said
        .lines()
        .filter(|line| line.contains("<protocol ") && line.contains("enabled=\"1\""))
        .map(|line| line.split('"').nth(3).unwrap_or_default())
        .collect();
    assert_eq!(enabled, ["1.2", "1.3"], "{said}");
    assert!(said.contains("<renegotiation supported=\"0\""), "{said}");
    for bad in ["<compression supported=\"1\"", "vulnerable=\"1\""] {
        assert!(!said.contains(bad), "{said}");
    }
    let ciphers: Vec<_> = said
        .lines()
        .filter(|line| line.contains("<cipher "))
        .collect();
    assert!(ciphers.len() >= 6, "{said}");
    for cipher in ciphers {
        let is_modern =
            cipher.contains("_GCM_") || cipher.contains("-GCM-") || cipher.contains("CHACHA20");
        let is_forward = cipher.contains("\"TLS_") || cipher.contains("ECDHE");
        assert!(is_modern && is_forward, "{cipher}");
        let is_strong = ["strong", "acceptable"]
            .iter()
            .any(|strength| cipher.contains(&format!("strength=\"{strength}\"")));
        assert!(is_strong, "{cipher}");
    }
}

/// Attacks with 100 slow connections for some seconds: others are served meanwhile, and nothing is left afterwards.
async fn withstand(attack: &[&str]) {
    let Some(slowhttptest) = programs::find("slowhttptest") else {
        return;
    };
    let limit = Duration::from_secs(5);
    let mut mesh = Mesh::with(|config| {
        (config.header_timeout, config.send_timeout) = (limit, limit);
    })
    .await;
    let large = Origin::answering(async |request| {
        let size = if request.uri().path() == "/large" {
            1 << 20
        } else {
            3
        };
        http::Response::new(super::origin::full(vec![b'x'; size]))
    })
    .await;
    mesh.serve(&[large.address]).await;
    let url = format!("http://{}/large", mesh.http());
    let mut arguments = vec!["-c", "100", "-r", "100", "-l", "8", "-p", "3", "-u", &url];
    arguments.extend(attack);
    let attacking = programs::said(&slowhttptest, &arguments);
    let mut attacking = std::pin::pin!(attacking);
    let said = loop {
        tokio::select! {
            said = &mut attacking => break said,
            answer = get(mesh.http(), "h", "/") => assert_eq!(answer.body, "xxx"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(said.contains("Exit status"), "{said}");
    let connections = &mesh.parts.shared.metrics.connections;
    eventually("no connection", async || match connections.get() {
        0 => Ok(()),
        other => Err(format!("{other} connections; {said}")),
    })
    .await;
}

#[tokio::test]
async fn slow_heads_keep_nobody_out() {
    withstand(&["-H", "-i", "1"]).await;
}

#[tokio::test]
async fn slow_bodies_keep_nobody_out() {
    withstand(&["-B", "-i", "1", "-s", "8192"]).await;
}

#[tokio::test]
async fn slow_readers_keep_nobody_out() {
    withstand(&["-X", "-w", "1", "-y", "2", "-n", "5", "-z", "1"]).await;
}
