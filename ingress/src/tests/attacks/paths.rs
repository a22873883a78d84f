//! The matrix of paths that mean `/admin` to somebody, against every way in which a route guards it.

use std::sync::Arc;

use meshlite_snapshot::{
    Access, ExternalAuth, Filter, HostMatch,
    PathMatch::{self, Exact, Prefix, Regex},
    Policy, Rewrite, Route,
};

use crate::tests::{
    mesh::{Mesh, route},
    origin::{Origin, exchange_bytes, full, get},
};

/// What becomes of a path: its status if it is refused, else what it is forwarded as, and whether `/admin`'s route as an exact
/// path and as a prefix (or an expression for one) takes it.
type Row = (&'static str, Result<(&'static str, bool, bool), u16>);

const PATHS: [Row; 26] = [
    ("/admin", Ok(("/admin", true, true))),
    ("/admin/", Ok(("/admin/", false, true))),
    ("/admin/x", Ok(("/admin/x", false, true))),
    ("/%61dmin", Ok(("/admin", true, true))),
    ("/%61%64%6d%69%6E", Ok(("/admin", true, true))),
    ("/./admin", Ok(("/admin", true, true))),
    ("/%2e/admin", Ok(("/admin", true, true))),
    ("/x/../admin", Ok(("/admin", true, true))),
    ("/x/%2E%2e/admin", Ok(("/admin", true, true))),
    ("/x/.%2e/admin/../admin/y", Ok(("/admin/y", false, true))),
    ("/../admin", Ok(("/admin", true, true))),
    ("/admin/..", Ok(("/", false, false))),
    ("/admin/%2e%2e/x", Ok(("/x", false, false))),
    // These are other paths, here and behind us.
    ("/ADMIN", Ok(("/ADMIN", false, false))),
    ("//admin", Ok(("//admin", false, false))),
    ("/admin;x", Ok(("/admin;x", false, false))),
    ("/admin%3Bx", Ok(("/admin%3Bx", false, false))),
    ("/adm%69n/..;/", Ok(("/admin/..;/", false, true))),
    ("/%2561dmin", Ok(("/%2561dmin", false, false))),
    // An escaped slash may be a slash to the endpoint.
    ("/admin%2fx", Err(400)),
    ("/x%2Fadmin", Err(400)),
    ("/x%5cadmin", Err(400)),
    // These an endpoint could take for others.
    ("/x/..%2fadmin", Err(400)),
    ("/x%5c..%5cadmin", Err(400)),
    ("/admin%00", Err(400)),
    ("/x\\admin", Err(400)),
];

/// A mesh where a route of this kind leads to the service `admin`, and everything else to `open`.
async fn guarded(kind: PathMatch, path: &str, guard: Route) -> (Mesh, [Origin; 2]) {
    let mut mesh = Mesh::start().await;
    let origins = [Origin::echo("open").await, Origin::echo("admin").await];
    mesh.put_service("open", &[origins[0].address]);
    mesh.put_service("admin", &[origins[1].address]);
    let admin = Route {
        rank: 0,
        path: route(kind, path, "admin").path,
        ..guard
    };
    let open = Route {
        rank: 1,
        ..route(Prefix, "/", "open")
    };
    mesh.put_table(HostMatch::Any, vec![admin, open]);
    assert_eq!(mesh.apply().await, []);
    (mesh, origins)
}

/// The status, the service, and the path that it saw.
async fn ask(mesh: &Mesh, path: &str) -> (u16, String, String) {
    if path.contains('\\') {
        // Only raw bytes can say this.
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = exchange_bytes(mesh.http(), bytes.as_bytes(), "\r\n\r\n").await;
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        return (status.unwrap_or(0), String::new(), String::new());
    }
    let answer = get(mesh.http(), "h", path).await;
    let seen = answer.header("seen-path").to_owned();
    (answer.status.as_u16(), answer.body, seen)
}

/// Every path meets the guard or does not, and its endpoint sees what it was matched by.
async fn holds(kind: PathMatch, path: &str) {
    let (mesh, _origins) = guarded(kind, path, route(kind, path, "admin")).await;
    for (sent, verdict) in PATHS {
        let (status, service, seen) = ask(&mesh, sent).await;
        match verdict {
            Err(refused) => assert_eq!(status, refused, "{kind:?} {sent}: {service} {seen}"),
            Ok((normal, exact, prefix)) => {
                let is_admin = if kind == Exact { exact } else { prefix };
                let expected = if is_admin { "admin" } else { "open" };
                assert_eq!((status, &*service), (200, expected), "{kind:?} {sent}");
                assert_eq!(seen, normal, "{kind:?} {sent}");
            }
        }
    }
}

#[tokio::test]
async fn an_exact_path_guards_its_path_in_every_spelling() {
    holds(Exact, "/admin").await;
}

#[tokio::test]
async fn a_prefix_guards_what_is_below_it_in_every_spelling() {
    holds(Prefix, "/admin").await;
}

#[tokio::test]
async fn an_expression_guards_what_it_matches_in_every_spelling() {
    holds(Regex, "/admin(/.*)?$").await;
}

#[tokio::test]
async fn what_a_rewrite_puts_together_does_not_leave_what_it_was_put_into() {
    let rewrite = Rewrite {
        prefix: Some("/inner/v1".into()),
        ..Rewrite::default()
    };
    let guard = Route {
        filters: vec![Filter::Rewrite(rewrite)],
        ..route(Prefix, "/admin", "admin")
    };
    let (mesh, _origins) = guarded(Prefix, "/admin", guard).await;
    for (sent, status, seen) in [
        ("/admin", 200, "/inner/v1"),
        ("/%61dmin/x", 200, "/inner/v1/x"),
        ("/x/../admin/x", 200, "/inner/v1/x"),
        ("/admin/./x", 200, "/inner/v1/x"),
        ("/admin/y/../x", 200, "/inner/v1/x"),
        ("/admin/..;/x", 200, "/inner/v1/..;/x"),
        ("/admin/..%2f..%2fsecret", 400, ""),
        ("/admin/%2e%2e%5csecret", 400, ""),
    ] {
        let (answered, _, saw) = ask(&mesh, sent).await;
        assert_eq!((answered, &*saw), (status, seen), "{sent}");
    }
    // It never was below the prefix.
    let (_, service, seen) = ask(&mesh, "/admin/../../secret").await;
    assert_eq!((&*service, &*seen), ("open", "/secret"));
}

#[tokio::test]
async fn another_server_judges_the_path_that_the_endpoint_gets() {
    let judge = Origin::answering(|request| async move {
        let asked = request.headers().get("x-auth-request-redirect").cloned();
        let asked = asked.unwrap_or_else(|| http::HeaderValue::from_static(""));
        let mut answer = http::Response::new(full(""));
        answer.headers_mut().insert("x-judged", asked);
        answer
    })
    .await;
    let external = ExternalAuth {
        url: "http://judge.example/".into(),
        cluster: Some(meshlite_snapshot::Name::new("default/judge/80").unwrap()),
        method: None,
        request_headers: vec![],
        response_headers: vec!["x-judged".into()],
        signin: None,
        signin_redirect_param: "rd".into(),
        always_set_cookie: false,
        timeout_ms: None,
    };
    let policy = Policy {
        access: Access {
            external: Some(external),
            ..Access::default()
        },
        ..Policy::default()
    };
    let guard = Route {
        policy: Some(Arc::new(policy)),
        ..route(Prefix, "/admin", "admin")
    };
    let (mut mesh, [_open, admin]) = guarded(Prefix, "/admin", guard).await;
    mesh.put_service("judge", &[judge.address]);
    assert_eq!(mesh.apply().await, []);
    for (sent, verdict) in PATHS {
        let judged = judge.requests();
        let (_, service, _) = ask(&mesh, sent).await;
        if service == "admin" {
            let seen = admin.last();
            assert_eq!(seen.headers()["x-judged"], seen.uri().path(), "{sent}");
            assert_eq!(judge.requests(), judged + 1, "{sent}");
        } else {
            assert!(!verdict.is_ok_and(|(_, _, prefix)| prefix), "{sent}");
            assert_eq!(judge.requests(), judged, "{sent}");
        }
    }
}

#[tokio::test]
async fn an_encoded_slash_is_served_where_its_route_allows_it_and_separates_nothing() {
    let policy = Policy {
        allow_encoded_slashes: true,
        ..Policy::default()
    };
    let guard = Route {
        policy: Some(Arc::new(policy)),
        ..route(Prefix, "/admin", "admin")
    };
    let (mesh, _origins) = guarded(Prefix, "/admin", guard).await;
    for (sent, status, service, seen) in [
        ("/admin/a%2fb", 200, "admin", "/admin/a%2Fb"),
        ("/admin/a%5Cb", 200, "admin", "/admin/a%5Cb"),
        // These are not below the prefix.
        ("/admin%2fb", 400, "", ""),
        ("/x/a%2fb", 400, "", ""),
        ("/admin/..%2fb", 400, "", ""),
        ("/admin/%00", 400, "", ""),
    ] {
        let (answered, by, saw) = ask(&mesh, sent).await;
        assert_eq!((answered, &*saw), (status, seen), "{sent}");
        assert!(status == 400 || by == service, "{sent}: {by}");
    }
}
