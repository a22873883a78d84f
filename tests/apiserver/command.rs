//! The command as people use it: against a control plane with TLS on, with the CA and a token, and with grpcurl.

mod mesh;
pub(crate) mod programs;

use meshlite_tests::{
    apiserver::{self, eventually},
    programs::tool,
};
use serde_json::Value;

use self::{
    mesh::{HOST, Mesh, text},
    programs::{Said, run},
};

/// The row of a table that begins with this.
fn row<'a>(table: &'a str, begins: &[&str]) -> Vec<&'a str> {
    let rows = table.lines().map(|line| line.split_whitespace().collect());
    let mut rows = rows.filter(|row: &Vec<&str>| row.starts_with(begins));
    let row = rows.next();
    row.unwrap_or_else(|| panic!("no row {begins:?} in\n{table}"))
}

/// What is asked, once it is answered with this status.
async fn once(mesh: &Mesh, status: i32, args: &[&str]) -> String {
    eventually(&format!("{args:?} exits with {status}"), async || {
        let said = mesh.ask(args).await;
        if said.status == Some(status) {
            Ok(said.out)
        } else {
            Err(format!("{said:?}"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_where_everybody_stands_over_tls() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let Some(mesh) = Mesh::start(api, "command").await else {
        return;
    };
    let ((node, metrics), (ingress, admin)) = (mesh.node().await, mesh.ingress().await);
    let name = mesh.cluster.namespace.as_str();

    let connected = "both are connected";
    eventually(connected, async || {
        let table = mesh.ask(&["status"]).await.out;
        let are_there = ["node", "ingress"].map(|role| table.contains(&format!("{name}  {role}")));
        if are_there == [true; 2] {
            Ok(())
        } else {
            Err(table)
        }
    })
    .await;
    let table = once(&mesh, 0, &["status"]).await;
    for role in ["node", "ingress"] {
        let [_, _, replica, _, _, lag, converged, rejected, ..] = row(&table, &[name, role])[..]
        else {
            panic!("{table}");
        };
        let seen = (replica, lag, converged, rejected);
        assert_eq!(seen, ("replica-1", "0s", "yes", "0"), "{table}");
    }
    let url = format!("https://{}", mesh.address);
    assert_eq!(
        row(&table, &["replica-1", "leader", "2"]).last(),
        Some(&&*url)
    );
    let json = once(&mesh, 0, &["status", "-o", "json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["totals"]["nodes"], 1, "{json}");
    assert_eq!(json["totals"]["ingresses"], 1, "{json}");

    let diff = once(&mesh, 0, &["diff", name]).await;
    let heads: Vec<_> = diff
        .lines()
        .filter(|line| line.contains("converged"))
        .collect();
    assert!(
        heads[0].starts_with(&format!("ingress {name}, connected to replica-1")),
        "{diff}"
    );
    assert!(
        heads[1].starts_with(&format!("node {name}, connected to replica-1")),
        "{diff}"
    );

    for (kind, expected, planes) in [
        ("services", "1/1", &[&metrics][..]),
        ("endpoints", "192.0.2.7", &[&metrics, &admin]),
        ("routes", HOST, &[&admin]),
        ("certificates", HOST, &[&admin]),
    ] {
        let served = once(&mesh, 0, &["get", kind]).await;
        assert!(served.contains(expected), "{served}");
        for plane in planes {
            let installed = run(&mesh.program, &["get", kind, "--node", plane]).await;
            assert_eq!(installed.out, served, "{kind} of {plane}: {installed:?}");
        }
    }
    are_secret(&mesh, [("node", node), ("ingress", ingress)]).await;
}

/// The logs of the planes, ended now, hold no key and no token, though they log everything.
async fn are_secret<const N: usize>(mesh: &Mesh, planes: [(&str, programs::Plane); N]) {
    let mut secrets = mesh.keys().await;
    for account in ["meshlite-node", "meshlite-ingress", "meshlite-reader"] {
        let token = mesh.token(account);
        let signature = token.rsplit('.').next().unwrap().to_owned();
        secrets.push((account.to_owned(), signature));
    }
    let mut logs = vec![("control plane", mesh.control_plane.logged())];
    for (name, plane) in planes {
        logs.push((name, plane.kill().await));
    }
    for (plane, logged) in logs {
        assert!(logged.contains("TRACE"), "{plane} logs everything");
        for (of, secret) in &secrets {
            assert!(
                !logged.contains(secret),
                "{plane} logs what is secret of {of}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_wrongly_is_told_what_to_do() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let Some(mesh) = Mesh::start(api, "wrongly").await else {
        return;
    };
    once(&mesh, 0, &["status"]).await;
    let [url, ca, node] = [
        format!("--control-plane=https://{}", mesh.address),
        format!("--ca-file={}", mesh.path("ca.crt").display()),
        format!("--token-file={}", mesh.path("meshlite-node").display()),
    ];
    let plaintext = format!("--control-plane=http://{}", mesh.address);
    let other = mesh.path("other.crt");
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    std::fs::write(&other, made.cert.pem()).unwrap();
    let other = format!("--ca-file={}", text(&other));
    for (args, says) in [
        (
            &[&url, &ca][..],
            &["no credentials", "give --token-file"][..],
        ),
        (
            &[&url],
            &["this machine trusts", "get configmap meshlite-ca"],
        ),
        (&[&url, &other], &["other.crt", "get configmap meshlite-ca"]),
        (&[&plaintext], &["speaks TLS", "get configmap meshlite-ca"]),
        (
            &[&url, &ca, &node],
            &["meshlite-node", "--reader-service-account"],
        ),
    ] {
        let args: Vec<_> = args.iter().map(|arg| arg.as_str()).collect();
        let said = run(&mesh.program, &[&["status"], &args[..]].concat()).await;
        assert_eq!(said.status, Some(2), "{args:?}: {said:?}");
        for expected in says {
            assert!(said.err.contains(expected), "{args:?}: {}", said.err);
        }
        assert!(!said.err.contains("running there"), "it is: {}", said.err);
    }
    let said = mesh.ask(&["diff", "nobody"]).await;
    assert_eq!(said.status, Some(2), "{said:?}");
    assert!(said.err.contains("`meshlite status` shows all"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_asks_with_ca_and_token() {
    let Some(api) = apiserver::shared().await else {
        return;
    };
    let Some(grpcurl) = tool("grpcurl") else {
        return;
    };
    let Some(mesh) = Mesh::start(api, "grpcurl").await else {
        return;
    };
    once(&mesh, 0, &["status"]).await;
    let ca = mesh.path("ca.crt");
    let ask = async |account: Option<&str>, what: &str| -> Said {
        let bearer =
            account.map(|account| format!("authorization: Bearer {}", mesh.token(account)));
        let mut args = vec![
            "-cacert",
            text(&ca),
            "-servername",
            "meshlite-control-plane",
        ];
        if let Some(bearer) = &bearer {
            args.extend(["-H", bearer]);
        }
        args.extend([mesh.address.as_str(), what]);
        run(&grpcurl, &args).await
    };
    let status = |method| format!("meshlite.discovery.v1.SnapshotStatus/{method}");
    let fetch = "meshlite.discovery.v1.SnapshotDiscovery/FetchSnapshot";

    // What there is to ask is no secret.
    let listed = ask(None, "list").await;
    assert!(
        listed.out.contains("meshlite.discovery.v1.SnapshotStatus"),
        "{listed:?}"
    );
    let refused = ask(None, &status("ListClients")).await;
    assert!(refused.err.contains("Unauthenticated"), "{refused:?}");
    assert!(
        refused.err.contains("authorization: Bearer TOKEN"),
        "{refused:?}"
    );

    let server = ask(Some("meshlite-reader"), &status("GetServerStatus")).await;
    assert!(
        server.out.contains("\"replica\": \"replica-1\""),
        "{server:?}"
    );
    let (_node, _) = mesh.node().await;
    eventually("the node is listed", async || {
        let clients = ask(Some("meshlite-reader"), &status("ListClients")).await;
        let is_there = clients.out.contains("\"role\": \"L4_NODE\"");
        is_there.then_some(()).ok_or(format!("{clients:?}"))
    })
    .await;

    for (account, has_keys) in [("meshlite-reader", false), ("meshlite-ingress", true)] {
        let fetched = ask(Some(account), fetch).await.out;
        assert!(
            fetched.contains("\"tlsSecret\"") && fetched.contains(HOST),
            "{fetched}"
        );
        assert_eq!(fetched.contains("\"privateKey\""), has_keys, "{account}");
    }
    for (account, what) in [
        ("meshlite-node", fetch),
        ("meshlite-ingress", &status("ListClients")),
    ] {
        let refused = ask(Some(account), what).await;
        assert!(refused.err.contains("PermissionDenied"), "{refused:?}");
        assert!(refused.err.contains(account), "{refused:?}");
    }
}
