//! What policies do to where requests go and to what clients get.

use http::Response;
use meshlite_snapshot::{Canary, CanaryHeader, CanaryMatch, Cors, ErrorPages, Policy};

use super::{
    super::origin::{Origin, full},
    ask, get, name, put, to, under,
};

#[tokio::test]
async fn requests_without_tls_are_sent_to_https_but_for_certificates() {
    let (mesh, origin) = under(Policy {
        https_redirect: Some(308),
        ..Policy::default()
    })
    .await;
    let answer = get(mesh.http(), &[]).await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), "https://h/a?b=c");
    let challenge = "/.well-known/acme-challenge/token";
    assert_eq!(ask(mesh.http(), "GET", challenge, &[]).await.status, 200);
    // What a trusted proxy says counts.
    let told = [("x-forwarded-proto", "https")];
    assert_eq!(get(mesh.http(), &told).await.status, 200);
    assert_eq!(origin.requests(), 2);
}

fn mk_cors(origins: &[&str]) -> Policy {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Policy {
        cors: Some(Cors {
            allow_origins: texts(origins),
            allow_methods: texts(&["GET", "PUT"]),
            allow_headers: texts(&["X-A", "X-B"]),
            expose_headers: texts(&["X-C"]),
            allow_credentials: true,
            max_age_seconds: 600,
        }),
        ..Policy::default()
    }
}

#[tokio::test]
async fn preflights_are_answered_here_and_responses_say_who_may_read_them() {
    let (mesh, origin) = under(mk_cors(&["https://a.example"])).await;
    let from = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
    ];
    let answer = ask(mesh.http(), "OPTIONS", "/", &from).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    let said = [
        ("access-control-allow-origin", "https://a.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "X-A, X-B"),
        ("access-control-expose-headers", "X-C"),
        ("access-control-max-age", "600"),
        ("vary", "Origin"),
    ];
    for (name, value) in said {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert_eq!(origin.requests(), 0);
    let answer = get(mesh.http(), &from).await;
    assert_eq!(answer.body, "web");
    for (name, value) in said {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let answer = get(mesh.http(), &[("origin", "https://b.example")]).await;
    assert_eq!(
        (
            answer.body.as_str(),
            answer.header("access-control-allow-origin")
        ),
        ("web", "")
    );
    // An OPTIONS of no allowed origin is the endpoint's to answer.
    assert_eq!(ask(mesh.http(), "OPTIONS", "/", &[]).await.body, "web");
}

#[tokio::test]
async fn our_own_errors_can_be_read_by_scripts_too() {
    let (mut mesh, _origin) = under(mk_cors(&["*"])).await;
    mesh.put_endpoints("web", &[]);
    mesh.apply().await;
    let answer = get(mesh.http(), &[]).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("vary"), "");
}

#[tokio::test]
async fn a_canary_takes_requests_by_header_then_cookie_then_weight() {
    let canary = Canary {
        backends: to("canary"),
        header: Some(CanaryHeader {
            name: "x-canary".into(),
            values: CanaryMatch::AlwaysNever,
        }),
        cookie: Some("canary".into()),
        weight: 100,
        total: 100,
    };
    let policy = Policy {
        canaries: vec![canary],
        ..Policy::default()
    };
    let (mut mesh, _origin) = under(policy).await;
    let other = Origin::echo("canary").await;
    // A canary without endpoints takes nothing.
    mesh.put_service("canary", &[]);
    mesh.apply().await;
    assert_eq!(get(mesh.http(), &[]).await.body, "web");
    mesh.put_endpoints("canary", &[other.address]);
    mesh.apply().await;
    for (headers, body) in [
        (&[][..], "canary"),
        (&[("x-canary", "never"), ("cookie", "canary=always")], "web"),
        (&[("cookie", "canary=never")], "web"),
        (
            &[("x-canary", "other"), ("cookie", "canary=other")],
            "canary",
        ),
    ] {
        assert_eq!(get(mesh.http(), headers).await.body, body, "{headers:?}");
    }
}

#[tokio::test]
async fn a_backend_without_endpoints_is_stood_in_for() {
    let (mut mesh, _origin) = under(Policy {
        default_backend: Some(name("default/spare/80")),
        ..Policy::default()
    })
    .await;
    let spare = Origin::echo("spare").await;
    mesh.put_service("spare", &[spare.address]);
    mesh.apply().await;
    assert_eq!(get(mesh.http(), &[]).await.body, "web");
    mesh.put_endpoints("web", &[]);
    mesh.apply().await;
    assert_eq!(get(mesh.http(), &[]).await.body, "spare");
}

#[tokio::test]
async fn errors_have_the_page_of_another_cluster() {
    let (mut mesh, _origin) = under(Policy {
        error_pages: Some(ErrorPages {
            statuses: vec![404, 503],
            cluster: name("default/pages/80"),
        }),
        ..Policy::default()
    })
    .await;
    let missing = Origin::answering(async |request| {
        let mut response = Response::new(full("the endpoint's own"));
        let status = request.uri().path().trim_start_matches('/');
        *response.status_mut() = status.parse().unwrap_or_default();
        response
    })
    .await;
    let pages = Origin::answering(async |request| {
        let code = request.headers()["x-code"].to_str().unwrap().to_owned();
        let mut response = Response::new(full(format!("page {code}")));
        *response.status_mut() = code.parse().unwrap();
        response
    })
    .await;
    mesh.put_endpoints("web", &[missing.address]);
    mesh.put_service("pages", &[pages.address]);
    mesh.apply().await;
    let answer = ask(mesh.http(), "POST", "/404?a=b", &[("accept", "text/html")]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (404, "page 404")
    );
    let asked = pages.last();
    for (name, value) in [
        ("x-code", "404"),
        ("x-format", "text/html"),
        ("x-original-uri", "/404?a=b"),
        ("x-namespace", "default"),
        ("x-ingress-name", "test"),
        ("x-service-name", "web"),
        ("x-service-port", "80"),
        ("host", "h"),
    ] {
        assert_eq!(asked.headers()[name], value, "{name}");
    }
    assert_eq!(asked.method(), "GET");
    assert_eq!(
        ask(mesh.http(), "GET", "/500", &[]).await.body,
        "the endpoint's own"
    );
    mesh.put_endpoints("web", &[]);
    mesh.apply().await;
    assert_eq!(ask(mesh.http(), "GET", "/", &[]).await.body, "page 503");
    // Without a page the error is what it was.
    drop(pages);
    assert_eq!(ask(mesh.http(), "GET", "/", &[]).await.status, 503);
}

#[tokio::test]
async fn text_is_compressed_for_clients_that_take_it() {
    let policy = |compression| Policy {
        compression,
        ..Policy::default()
    };
    let (mut mesh, _origin) = under(policy(true)).await;
    let text = Origin::answering(async |_| {
        let mut response = Response::new(full("text ".repeat(1000)));
        let kind = "text/plain".parse().unwrap();
        response.headers_mut().insert("content-type", kind);
        response
    })
    .await;
    mesh.put_endpoints("web", &[text.address]);
    mesh.apply().await;
    let gzip = b"GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";
    let answer = super::super::origin::exchange_bytes(mesh.http(), gzip, "").await;
    assert!(answer.contains("content-encoding: gzip"), "{answer}");
    assert!(answer.len() < 1000, "{}", answer.len());
    let plain = get(mesh.http(), &[]).await;
    assert_eq!(
        (plain.body.len(), plain.header("content-encoding")),
        (5000, "")
    );
    put(&mut mesh, policy(false)).await;
    let off = get(mesh.http(), &[("accept-encoding", "gzip")]).await;
    assert_eq!(off.body.len(), 5000);
}

#[tokio::test]
async fn the_endpoint_is_told_the_prefix_that_the_route_says() {
    let (mut mesh, origin) = under(Policy {
        forwarded_prefix: Some("/shop".into()),
        ..Policy::default()
    })
    .await;
    get(mesh.http(), &[("x-forwarded-prefix", "/evil")]).await;
    assert_eq!(origin.last().headers()["x-forwarded-prefix"], "/shop");
    put(&mut mesh, Policy::default()).await;
}
