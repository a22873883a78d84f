//! Another server's word on who may come.

use http::{Response, StatusCode};
use meshlite_snapshot::{Access, ExternalAuth, Policy};

use super::{
    super::origin::{Origin, full},
    ask, get, name, put, under,
};
use crate::tests::mesh::Mesh;

/// Answers with the status that a request's `x-say` names, 200 without one.
async fn server() -> Origin {
    Origin::answering(async |request| {
        let say = request.headers().get("x-say");
        let say = say.map_or("200", |say| say.to_str().unwrap());
        let mut response = Response::new(full("the server's own text"));
        *response.status_mut() = say.parse().unwrap();
        let headers = response.headers_mut();
        headers.insert("x-user", "anna".parse().unwrap());
        headers.insert("x-other", "other".parse().unwrap());
        headers.insert("www-authenticate", "Bearer".parse().unwrap());
        headers.append("set-cookie", "session=1".parse().unwrap());
        headers.append("set-cookie", "more=2".parse().unwrap());
        response
    })
    .await
}

fn mk_auth() -> ExternalAuth {
    ExternalAuth {
        url: "http://auth.example:8080/check?of=$host".into(),
        cluster: Some(name("default/auth/80")),
        method: None,
        request_headers: vec![("x-asked".into(), "$request_method $uri".into())],
        response_headers: vec!["x-user".into(), "x-groups".into()],
        signin: None,
        signin_redirect_param: "rd".into(),
        always_set_cookie: false,
        timeout_ms: Some(2000),
    }
}

fn mk_policy(external: ExternalAuth) -> Policy {
    Policy {
        access: Access {
            external: Some(external),
            ..Access::default()
        },
        ..Policy::default()
    }
}

async fn guarded(auth: ExternalAuth) -> (Mesh, Origin, Origin) {
    let (mut mesh, origin) = under(mk_policy(auth)).await;
    let server = server().await;
    mesh.put_service("auth", &[server.address]);
    assert_eq!(mesh.apply().await, []);
    (mesh, origin, server)
}

#[tokio::test]
async fn the_server_is_asked_about_the_request_without_its_body() {
    let (mesh, origin, server) = guarded(mk_auth()).await;
    let headers = [
        ("cookie", "a=1"),
        ("content-type", "text/x"),
        ("x-groups", "admin"),
    ];
    let answer = ask(mesh.http(), "POST", "/a?b=c", &headers).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "web")
    );
    let asked = server.last();
    assert_eq!(
        (asked.method().as_str(), asked.uri().to_string()),
        ("GET", "/check?of=h".into())
    );
    for (name, value) in [
        ("host", "auth.example:8080"),
        ("x-original-url", "http://h/a?b=c"),
        ("x-original-method", "POST"),
        ("x-auth-request-redirect", "/a?b=c"),
        ("x-real-ip", "127.0.0.1"),
        ("x-asked", "POST /a"),
        ("cookie", "a=1"),
    ] {
        assert_eq!(asked.headers()[name], value, "{name}");
    }
    assert!(!asked.headers().contains_key("content-length"));
    assert!(!asked.headers().contains_key("content-type"));
    let seen = origin.last();
    // The endpoint gets what the server said, and nothing that the client said in its place.
    assert_eq!(seen.headers()["x-user"], "anna");
    assert!(!seen.headers().contains_key("x-groups"));
    assert!(!seen.headers().contains_key("x-other"));
    assert_eq!(
        seen.headers()["x-request-id"],
        asked.headers()["x-request-id"]
    );
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["session=1", "more=2"]);
}

#[tokio::test]
async fn a_client_cannot_take_the_servers_headers_out_by_naming_them() {
    let (mesh, origin, _server) = guarded(mk_auth()).await;
    get(mesh.http(), &[("connection", "x-user"), ("x-user", "root")]).await;
    assert_eq!(origin.last().headers()["x-user"], "anna");
}

#[tokio::test]
async fn only_a_clear_yes_lets_a_request_pass() {
    let (mesh, origin, _server) = guarded(mk_auth()).await;
    for (say, status) in [
        ("204", 200),
        ("401", 401),
        ("403", 403),
        ("302", 500),
        ("404", 500),
        ("500", 500),
    ] {
        let answer = get(mesh.http(), &[("x-say", say)]).await;
        assert_eq!(answer.status, status, "{say}");
        let challenge = if say == "401" { "Bearer" } else { "" };
        assert_eq!(answer.header("www-authenticate"), challenge);
        assert!(!answer.body.contains("the server's own text"));
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_lets_nobody_pass() {
    let (mut mesh, origin, server) = guarded(mk_auth()).await;
    drop(server);
    assert_eq!(get(mesh.http(), &[]).await.status, 503);
    mesh.put_endpoints("auth", &[]);
    mesh.apply().await;
    assert_eq!(get(mesh.http(), &[]).await.status, 503);
    let silent = Origin::raw(|stream| async move {
        let mut buffer = [0; 1024];
        while stream.readable().await.is_ok() {
            if let Ok(0) = stream.try_read(&mut buffer) {
                return;
            }
        }
    })
    .await;
    mesh.put_endpoints("auth", &[silent.address]);
    mesh.apply().await;
    let impatient = ExternalAuth {
        timeout_ms: Some(50),
        ..mk_auth()
    };
    put(&mut mesh, mk_policy(impatient)).await;
    assert_eq!(get(mesh.http(), &[]).await.status, 503);
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn who_is_not_known_is_sent_to_sign_in_and_comes_back() {
    let signin = ExternalAuth {
        signin: Some("https://login.example/start?a=b".into()),
        ..mk_auth()
    };
    let (mut mesh, _origin, _server) = guarded(signin.clone()).await;
    let answer = get(mesh.http(), &[("x-say", "401")]).await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        "https://login.example/start?a=b&rd=http%3A%2F%2Fh%2Fa%3Fb%3Dc"
    );
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(get(mesh.http(), &[("x-say", "403")]).await.status, 403);
    let own = ExternalAuth {
        signin: Some("https://login.example/?rd=$escaped_request_uri".into()),
        ..signin
    };
    put(&mut mesh, mk_policy(own)).await;
    let answer = get(mesh.http(), &[("x-say", "401")]).await;
    assert_eq!(
        answer.header("location"),
        "https://login.example/?rd=%2Fa%3Fb%3Dc"
    );
}

#[tokio::test]
async fn a_server_outside_of_the_cluster_is_looked_up() {
    let server = server().await;
    let outside = ExternalAuth {
        url: format!("http://localhost:{}/check", server.address.port()),
        cluster: None,
        ..mk_auth()
    };
    let (mesh, _origin) = under(mk_policy(outside)).await;
    assert_eq!(get(mesh.http(), &[]).await.status, 200);
    assert_eq!(get(mesh.http(), &[("x-say", "403")]).await.status, 403);
}
