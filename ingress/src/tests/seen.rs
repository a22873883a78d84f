//! What people see from outside: the access log, the live table, and what a request would meet.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use axum::Router;
use meshlite_snapshot::{HostMatch, PathMatch, Policy, Route, ValueMatch};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    mesh::{Mesh, eventually, route},
    origin::{Client, Origin, get, request},
};
use crate::{AccessLogFormat, admin};

/// Where a log goes.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The lines, once there are so many.
    async fn first(&self, count: usize) -> Vec<String> {
        eventually("the log", async || {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
            if lines.len() >= count {
                Ok(lines)
            } else {
                Err(text)
            }
        })
        .await
    }
}

async fn logging(format: AccessLogFormat) -> (Mesh, Lines, Origin) {
    let lines = Lines::default();
    let mut mesh = Mesh::logging_to(Box::new(lines.clone()), |config| {
        config.access_log = Some(format);
    })
    .await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    (mesh, lines, origin)
}

#[tokio::test]
async fn each_request_has_a_line_that_says_what_became_of_it() {
    let (mut mesh, lines, origin) = logging(AccessLogFormat::Json).await;
    let mut client = Client::connect(mesh.http()).await;
    let mut asked = request("GET", "shop.example", "/a?b=c");
    asked
        .headers_mut()
        .insert("user-agent", "test \"1\"".parse().unwrap());
    client.send(asked).await.unwrap();
    // Another worker may serve the next one, and each writes its own lines.
    lines.first(1).await;
    mesh.put_endpoints("web", &[]);
    mesh.apply().await;
    get(mesh.http(), "h", "/").await;
    let lines = lines.first(2).await;
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    for (name, value) in [
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("host", "shop.example"),
        ("target", "/a?b=c"),
        ("protocol", "HTTP/1.1"),
        ("scheme", "http"),
        ("route", "default/test"),
        ("endpoint", &origin.address.to_string()),
        ("user_agent", "test \"1\""),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    for (name, value) in [("status", 200), ("bytes", 3), ("tries", 1)] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert!(line["seconds"].as_f64().unwrap() >= line["upstream_seconds"].as_f64().unwrap());
    let id = origin.last().headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(line["request_id"], *id);
    let line: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&503.into(), &"no_endpoints".into())
    );
}

#[tokio::test]
async fn a_route_can_keep_its_requests_out_of_the_log() {
    let (mut mesh, lines, _origin) = logging(AccessLogFormat::Combined).await;
    let quiet = Policy {
        no_access_log: true,
        ..Policy::default()
    };
    let quiet = Route {
        policy: Some(Arc::new(quiet)),
        ..route(PathMatch::Prefix, "/quiet", "web")
    };
    let loud = Route {
        rank: 1,
        ..route(PathMatch::Prefix, "/", "web")
    };
    mesh.put_table(HostMatch::Any, vec![quiet, loud]);
    assert_eq!(mesh.apply().await, []);
    let mut client = Client::connect(mesh.http()).await;
    client.get("h", "/quiet").await;
    client.get("h", "/loud").await;
    let lines = lines.first(1).await;
    assert!(
        lines[0].contains("\"GET /loud HTTP/1.1\" 200 3 "),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 1);
}

/// The admin server of a mesh.
struct Admin {
    address: std::net::SocketAddr,
    serving: JoinHandle<()>,
}

impl Admin {
    async fn of(mesh: &Mesh) -> Self {
        let table = Arc::clone(&mesh.parts.shared.table);
        let router: Router = admin::table_routes(mesh.parts.installer.installed(), table);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { address, serving }
    }

    async fn json(&self, path: &str) -> serde_json::Value {
        let answer = get(self.address, "admin", path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn what_a_request_would_meet_is_explained_without_sending_it() {
    let (mut mesh, _lines, origin) = logging(AccessLogFormat::Json).await;
    let only = Route {
        headers: vec![ValueMatch {
            name: "x-team".into(),
            value: "red".into(),
            regex: false,
        }],
        ..route(PathMatch::Prefix, "/cart", "red")
    };
    let rest = Route {
        rank: 1,
        ..route(PathMatch::Prefix, "/", "web")
    };
    mesh.put_table(HostMatch::Exact("shop.example".into()), vec![only, rest]);
    assert_eq!(mesh.apply().await, []);
    let admin = Admin::of(&mesh).await;
    let url = "/explain?url=http%3A%2F%2FShop.example%2Fx%2F..%2Fcart%2F1";
    let explained = admin.json(url).await;
    let says = |explained: &serde_json::Value| -> Vec<String> {
        let steps = explained["steps"].as_array().unwrap().iter();
        let text = |step: &serde_json::Value| {
            format!(
                "{}: {}",
                step["phase"].as_str().unwrap(),
                step["says"].as_str().unwrap()
            )
        };
        steps.map(text).collect()
    };
    assert_eq!(
        says(&explained),
        [
            "listen: meshlite/http, port 80",
            "sanitise: the path is read and forwarded as /cart/1",
            "route: not Prefix /cart of Ingress default/test (rank 0): its method, headers or \
             parameters do not match",
            "route: host shop.example, Prefix / of Ingress default/test (rank 1)",
            "balance: default/web/80, weight 1, 1 endpoints",
        ]
    );
    assert_eq!(
        explained["backends"][0]["endpoints"][0],
        *origin.address.to_string()
    );
    let red = admin.json(&format!("{url}&header=X-Team%3A+red")).await;
    assert_eq!(
        says(&red)[2..],
        [
            "route: host shop.example, Prefix /cart of Ingress default/test (rank 0)",
            "balance: default/red/80 does not exist: 503",
        ]
    );
    let bad = admin.json("/explain?url=http%3A%2F%2Fh%2F..%252f").await;
    assert_eq!(says(&bad)[1], "sanitise: refused with 400: invalid path");
    assert_eq!(get(admin.address, "h", "/explain?url=x").await.status, 400);
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn the_live_table_is_shown_without_secrets() {
    let (mut mesh, _lines, _origin) = logging(AccessLogFormat::Json).await;
    super::policies::put_users(&mut mesh);
    mesh.apply().await;
    let admin = Admin::of(&mesh).await;
    let config = admin.json("/config").await;
    assert_eq!(
        config["routeTables"]["meshlite/*"]["routes"][0]["path"]["value"],
        "/"
    );
    assert_eq!(config["clusters"]["default/web/80"]["service"], "web");
    assert_eq!(config["credentials"][0], "default/users");
    assert!(!config.to_string().contains("apr1"));
}
