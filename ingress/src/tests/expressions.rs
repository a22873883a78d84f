//! Routes whose matches are expressions, what they rewrite, and where redirects lead.

use http::Request;
use meshlite_snapshot::{
    Filter, HostMatch, PathMatch, Redirect, Rewrite, Route, Substitution, ValueMatch,
};

use super::{
    mesh::{Mesh, route},
    origin::{Answer, Client, Origin, full, get},
};

async fn serving(routes: &[Route]) -> (Mesh, Vec<Origin>) {
    let mut mesh = Mesh::start().await;
    let mut origins = vec![];
    for name in ["one", "two", "three"] {
        let origin = Origin::echo(name).await;
        mesh.put_service(name, &[origin.address]);
        origins.push(origin);
    }
    let ranked = routes.iter().zip(0..).map(|(route, rank)| Route {
        rank,
        ..route.clone()
    });
    mesh.put_table(HostMatch::Any, ranked.collect());
    assert_eq!(mesh.apply().await, []);
    (mesh, origins)
}

#[tokio::test]
async fn expressions_match_from_the_start_in_the_order_of_their_ranks() {
    let (mesh, _origins) = serving(&[
        route(PathMatch::RegexIgnoreCase, "/foo/bar/.+", "one"),
        route(PathMatch::Exact, "/foo/bar/exact", "two"),
        route(PathMatch::Regex, "/foo/(bar|baz)", "two"),
        route(PathMatch::Prefix, "/", "three"),
    ])
    .await;
    for (path, origin) in [
        ("/foo/bar/1", "one"),
        ("/FOO/Bar/1", "one"),
        ("/foo/bar/exact", "one"),
        ("/foo/bar/", "two"),
        ("/foo/bazaar", "two"),
        ("/Foo/baz", "three"),
        ("/x/foo/bar/1", "three"),
        // Matched as it is forwarded: normal.
        ("/x/../foo/%62ar/1", "one"),
    ] {
        assert_eq!(get(mesh.http(), "h", path).await.body, origin, "{path}");
    }
}

#[tokio::test]
async fn headers_and_parameters_match_expressions_as_a_whole() {
    let wanted = |name: &str, value: &str| ValueMatch {
        name: name.into(),
        value: value.into(),
        regex: true,
    };
    let (mesh, _origins) = serving(&[
        Route {
            headers: vec![wanted("x-version", "v[12]")],
            query: vec![wanted("id", "[0-9]+")],
            ..route(PathMatch::Prefix, "/", "one")
        },
        route(PathMatch::Prefix, "/", "two"),
    ])
    .await;
    for (version, target, origin) in [
        ("v1", "/?id=42", "one"),
        ("v1", "/?id=4%32", "one"),
        ("v1", "/?id=42x", "two"),
        ("v1", "/", "two"),
        ("v3", "/?id=42", "two"),
        ("xv1", "/?id=42", "two"),
    ] {
        let request = Request::get(target)
            .header("host", "h")
            .header("x-version", version);
        let mut client = Client::connect(mesh.http()).await;
        let answer = client.send(request.body(full("")).unwrap()).await.unwrap();
        assert_eq!(
            Answer::read(answer).await.body,
            origin,
            "{version} {target}"
        );
    }
}

#[tokio::test]
async fn what_an_expression_found_makes_the_new_path() {
    let rewrite = |with: &str| {
        let regex = Substitution {
            pattern: "/api(/|$)(.*)".into(),
            with: with.into(),
            ignore_case: true,
        };
        let rewrite = Rewrite {
            regex: Some(regex),
            ..Rewrite::default()
        };
        vec![Filter::Rewrite(rewrite)]
    };
    let (mesh, origins) = serving(&[
        Route {
            filters: rewrite("/v2/$2?from=api"),
            ..route(PathMatch::RegexIgnoreCase, "/api(/|$)(.*)", "one")
        },
        Route {
            filters: rewrite("/x/$2"),
            ..route(PathMatch::Prefix, "/", "two")
        },
    ])
    .await;
    for (path, seen) in [
        ("/api/a/b?q=1", "/v2/a/b?from=api&q=1"),
        ("/API", "/v2/?from=api"),
    ] {
        get(mesh.http(), "h", path).await;
        assert_eq!(origins[0].last().uri(), seen);
    }
    get(mesh.http(), "h", "/other").await;
    assert_eq!(origins[1].last().uri(), "/other");
}

#[tokio::test]
async fn a_rewrite_cannot_climb_out_of_its_path() {
    let regex = Substitution {
        pattern: "/files/(.*)".into(),
        with: "/public/.$1".into(),
        ignore_case: false,
    };
    let rewrite = Rewrite {
        regex: Some(regex),
        ..Rewrite::default()
    };
    let (mesh, origins) = serving(&[Route {
        filters: vec![Filter::Rewrite(rewrite)],
        ..route(PathMatch::Prefix, "/", "one")
    }])
    .await;
    get(mesh.http(), "h", "/files/./secret").await;
    assert_eq!(origins[0].last().uri(), "/public/.secret");
    get(mesh.http(), "h", "/files/a").await;
    assert_eq!(origins[0].last().uri(), "/public/.a");
    // `..` that was put together is resolved before the endpoint sees it.
    get(mesh.http(), "h", "/files/.%2E/x").await;
    assert!(!origins[0].last().uri().path().contains(".."));
}

#[tokio::test]
async fn redirects_have_any_of_the_five_statuses_and_any_part_changed() {
    let redirect = |path: &str, redirect: Redirect| Route {
        filters: vec![Filter::Redirect(redirect)],
        ..route(PathMatch::Prefix, path, "one")
    };
    let parts = |status: u16| Redirect {
        status,
        scheme: Some("https".into()),
        host: Some("www.example".into()),
        port: Some(8443),
        path: Some(Rewrite {
            prefix: Some("/new".into()),
            ..Rewrite::default()
        }),
        ..Redirect::default()
    };
    let whole = Redirect {
        status: 307,
        location: Some("$scheme://login.example/?back=$escaped_request_uri".into()),
        ..Redirect::default()
    };
    let statuses = [301, 302, 303, 307, 308];
    let mut routes: Vec<_> = statuses
        .iter()
        .map(|status| redirect(&format!("/{status}"), parts(*status)))
        .collect();
    routes.push(redirect("/whole", whole));
    let (mesh, _origins) = serving(&routes).await;
    for status in statuses {
        let answer = get(mesh.http(), "h", &format!("/{status}/x?q=1")).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("location"),
            "https://www.example:8443/new/x?q=1"
        );
    }
    let answer = get(mesh.http(), "h", "/whole?q=1").await;
    assert_eq!(
        answer.header("location"),
        "http://login.example/?back=%2Fwhole%3Fq%3D1"
    );
}
