//! The planes as processes of their own: restarts without a control plane, and what the command line says of them.
#![cfg(test)]

mod https;
mod marker;
mod mesh;

use std::path::Path;

use tokio::time::Instant;

use mesh::{ANY, DEADLINE, Mesh, get, is_from_backend, meshlite, pause, prints};

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

    let node = format!("http://{metrics}");
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
    let sets = prints(0, &["node", "sets", "--node", &node]);
    let (ip, port) = (mesh.virtual_ip.ip(), mesh.virtual_ip.port());
    assert!(sets.contains(&format!("{ip},tcp:{port}")), "{sets}");
    let is_configuration = |answer: &str| answer.contains("\"kind\":\"KubeProxyConfiguration\"");
    get(&metrics, "/configz", is_configuration);
    let ingress = format!("http://{admin}");
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

#[test]
fn standalone_makes_traffic_of_manifests_until_sigterm() {
    let mesh = Mesh::new(5);
    let standalone = mesh.standalone();
    let grpc = standalone.said("control plane bound", "grpc");
    get(&mesh.virtual_ip.to_string(), "/", is_from_backend);
    get(&mesh.http.to_string(), "/", is_from_backend);
    let url = format!("http://{grpc}");
    let table = prints(0, &["get", "snapshot", "--control-plane", &url]);
    assert!(table.contains("Ingress default/web"), "{table}");
    assert_eq!(standalone.terminate(), Some(0));
}
