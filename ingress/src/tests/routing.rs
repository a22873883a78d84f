//! Hosts and paths: the checks of the public Ingress conformance suite, and what goes beyond them.

use meshlite_snapshot::{
    Filter, HeaderChange, HostMatch, Name, PathMatch, Redirect, Rewrite, Route, ValueMatch,
    WeightedCluster,
};
use proptest::prelude::*;

use super::{
    mesh::{Mesh, route},
    origin::{Answer, Origin, get},
};

async fn paths_mesh() -> (Mesh, Vec<Origin>) {
    use PathMatch::{Exact, Prefix};
    let mut mesh = Mesh::start().await;
    let mut origins = vec![];
    for name in [
        "foo-exact",
        "foo-prefix",
        "aaa-slash-bbb-prefix",
        "aaa-prefix",
        "aaa-slash-bbb-slash-prefix",
        "foo-slash-exact",
    ] {
        let origin = Origin::echo(name).await;
        mesh.put_service(name, &[origin.address]);
        origins.push(origin);
    }
    let host = |name: &str| HostMatch::Exact(name.into());
    mesh.put_routes(host("exact-path-rules"), &[(Exact, "/foo", "foo-exact")]);
    mesh.put_routes(
        host("prefix-path-rules"),
        &[
            (Prefix, "/aaa/bbb", "aaa-slash-bbb-prefix"),
            (Prefix, "/foo", "foo-prefix"),
            (Prefix, "/aaa", "aaa-prefix"),
        ],
    );
    let mixed = [(Exact, "/foo", "foo-exact"), (Prefix, "/foo", "foo-prefix")];
    mesh.put_routes(host("mixed-path-rules"), &mixed);
    mesh.put_routes(
        host("trailing-slash-path-rules"),
        &[
            (Exact, "/foo/", "foo-slash-exact"),
            (Prefix, "/aaa/bbb/", "aaa-slash-bbb-slash-prefix"),
        ],
    );
    assert_eq!(mesh.apply().await, []);
    (mesh, origins)
}

async fn path_rule(host: &str, path: &str, expected: &str) {
    let (mesh, _origins) = paths_mesh().await;
    let answer = get(mesh.http(), host, path).await;
    if expected.is_empty() {
        assert_eq!(answer.status, 404, "{answer:?}");
    } else {
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, expected)
        );
        assert_eq!(answer.header("seen-path"), path);
        assert_eq!(answer.header("seen-host"), host);
        assert_eq!(answer.header("seen-version"), "HTTP/1.1");
    }
}

macro_rules! path_rules {
    ($($name:ident: $host:literal $path:literal => $service:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            path_rule($host, $path, $service).await;
        })*
    };
}

path_rules! {
    path_rule_01_exact_matches_its_path: "exact-path-rules" "/foo" => "foo-exact";
    path_rule_02_exact_does_not_match_a_trailing_slash: "exact-path-rules" "/foo/" => "";
    path_rule_03_exact_is_case_sensitive: "exact-path-rules" "/FOO" => "";
    path_rule_04_exact_does_not_match_another_path: "exact-path-rules" "/bar" => "";
    path_rule_05_prefix_matches_its_path: "prefix-path-rules" "/foo" => "foo-prefix";
    path_rule_06_prefix_matches_a_trailing_slash: "prefix-path-rules" "/foo/" => "foo-prefix";
    path_rule_07_prefix_is_case_sensitive: "prefix-path-rules" "/FOO" => "";
    path_rule_08_the_longest_prefix_wins: "prefix-path-rules" "/aaa/bbb" => "aaa-slash-bbb-prefix";
    path_rule_09_the_longest_prefix_wins_for_subpaths: "prefix-path-rules" "/aaa/bbb/ccc" => "aaa-slash-bbb-prefix";
    path_rule_10_a_shorter_prefix_serves_the_rest: "prefix-path-rules" "/aaa/ccc" => "aaa-prefix";
    path_rule_11_prefix_matches_whole_elements: "prefix-path-rules" "/aaaccc" => "";
    path_rule_12_prefix_matches_a_trailing_slash_again: "prefix-path-rules" "/foo/" => "foo-prefix";
    path_rule_13_exact_wins_over_prefix: "mixed-path-rules" "/foo" => "foo-exact";
    path_rule_14_a_trailing_slash_of_a_prefix_rule_does_not_count: "trailing-slash-path-rules" "/aaa/bbb" => "aaa-slash-bbb-slash-prefix";
    path_rule_15_a_prefix_rule_with_slash_matches_its_path: "trailing-slash-path-rules" "/aaa/bbb/" => "aaa-slash-bbb-slash-prefix";
    path_rule_16_an_exact_rule_with_slash_needs_it: "trailing-slash-path-rules" "/foo" => "";
}

async fn host_rule(host: &str, expected: &str) {
    let mut mesh = Mesh::start().await;
    let (wildcard, exact) = (
        Origin::echo("wildcard-foo-com").await,
        Origin::echo("foo-bar-com").await,
    );
    mesh.put_service("wildcard-foo-com", &[wildcard.address]);
    mesh.put_service("foo-bar-com", &[exact.address]);
    let everything = |service| [(PathMatch::Prefix, "/", service)];
    mesh.put_routes(
        HostMatch::OneLabel("foo.com".into()),
        &everything("wildcard-foo-com"),
    );
    mesh.put_routes(
        HostMatch::Exact("foo.bar.com".into()),
        &everything("foo-bar-com"),
    );
    assert_eq!(mesh.apply().await, []);
    let answer = get(mesh.http(), host, "/").await;
    if expected.is_empty() {
        assert_eq!(answer.status, 404, "{answer:?}");
    } else {
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, expected)
        );
        assert_eq!(answer.header("seen-host"), host);
    }
}

macro_rules! host_rules {
    ($($name:ident: $host:literal => $service:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            host_rule($host, $service).await;
        })*
    };
}

// The first of the suite's six is the same as the second over HTTPS: see `tls`.
host_rules! {
    host_rule_2_an_exact_host_is_served: "foo.bar.com" => "foo-bar-com";
    host_rule_3_another_host_is_not: "subdomain.bar.com" => "";
    host_rule_4_a_wildcard_matches_one_label: "bar.foo.com" => "wildcard-foo-com";
    host_rule_5_a_wildcard_does_not_match_two_labels: "baz.bar.foo.com" => "";
    host_rule_6_a_wildcard_does_not_match_its_own_domain: "foo.com" => "";
    hosts_have_no_case: "Foo.BAR.com" => "foo-bar-com";
    a_port_and_a_trailing_dot_do_not_count: "foo.bar.com.:8080" => "foo-bar-com";
}

#[tokio::test]
async fn the_default_backend_gets_every_method_host_and_path_unchanged() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("echo-service").await;
    mesh.serve(&[origin.address]).await;
    for (method, host, path) in [
        ("GET", "my-host", "/"),
        ("GET", "my-host", "/sub-path"),
        ("POST", "some-host", "/"),
        ("PUT", "127.0.0.1", "/resource"),
        ("DELETE", "some-host", "/resource"),
        ("PATCH", "my-host", "/resource"),
    ] {
        let mut client = super::origin::Client::connect(mesh.http()).await;
        let mut request = super::origin::request(method, host, path);
        request
            .headers_mut()
            .insert("user-agent", "Go-http-client/1.1".parse().unwrap());
        let answer = Answer::read(client.send(request).await.unwrap()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, "echo-service");
        assert_eq!(answer.version, http::Version::HTTP_11);
        assert_eq!(answer.header("content-length"), "12");
        assert_eq!(answer.header("server"), "meshlite");
        assert!(!answer.header("date").is_empty());
        let seen = origin.last();
        assert_eq!(seen.method(), method);
        assert_eq!(seen.uri(), path);
        assert_eq!(seen.version(), http::Version::HTTP_11);
        assert_eq!(seen.headers()["user-agent"], "Go-http-client/1.1");
    }
}

#[tokio::test]
async fn requests_go_round_all_endpoints() {
    let mut mesh = Mesh::start().await;
    let mut origins = vec![];
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        origins.push(Origin::echo(name).await);
    }
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    mesh.serve(&addresses).await;
    for _ in 0..100 {
        assert_eq!(get(mesh.http(), "load-balancing", "/").await.status, 200);
    }
    let counts: Vec<_> = origins.iter().map(Origin::requests).collect();
    assert_eq!(counts, [10; 10]);
}

#[tokio::test]
async fn a_fallback_route_serves_what_a_more_specific_host_does_not() {
    let mut mesh = Mesh::start().await;
    let (own, any) = (Origin::echo("own").await, Origin::echo("any").await);
    mesh.put_service("own", &[own.address]);
    mesh.put_service("any", &[any.address]);
    let host = HostMatch::Exact("shop.example.com".into());
    mesh.put_routes(host, &[(PathMatch::Prefix, "/cart", "own")]);
    let plain = route(PathMatch::Prefix, "/plain", "any");
    let fallback = Route {
        rank: 1,
        fallback: true,
        ..route(PathMatch::Prefix, "/", "any")
    };
    mesh.put_table(HostMatch::Any, vec![plain, fallback]);
    assert_eq!(mesh.apply().await, []);
    let body = async |host: &str, path: &str| get(mesh.http(), host, path).await.body;
    assert_eq!(body("shop.example.com", "/cart").await, "own");
    assert_eq!(body("shop.example.com", "/other").await, "any");
    assert_eq!(body("else.example.com", "/plain").await, "any");
}

#[tokio::test]
async fn methods_headers_and_query_decide_among_routes_of_a_path() {
    let mut mesh = Mesh::start().await;
    let mut origins = vec![];
    for name in ["rest", "post", "beta", "debug"] {
        let origin = Origin::echo(name).await;
        mesh.put_service(name, &[origin.address]);
        origins.push(origin);
    }
    let value = |name: &str, value: &str| ValueMatch {
        name: name.into(),
        value: value.into(),
        regex: false,
    };
    let at = |rank, service| Route {
        rank,
        ..route(PathMatch::Prefix, "/", service)
    };
    let post = Route {
        method: Some("POST".into()),
        ..at(0, "post")
    };
    let beta = Route {
        headers: vec![value("x-beta", "yes")],
        ..at(1, "beta")
    };
    let debug = Route {
        query: vec![value("debug", "a b")],
        ..at(2, "debug")
    };
    mesh.put_table(HostMatch::Any, vec![at(3, "rest"), debug, beta, post]);
    assert_eq!(mesh.apply().await, []);
    let ask = async |method: &str, path: &str, beta: &'static str| {
        let mut request = super::origin::request(method, "h", path);
        request
            .headers_mut()
            .insert("x-beta", beta.parse().unwrap());
        let mut client = super::origin::Client::connect(mesh.http()).await;
        Answer::read(client.send(request).await.unwrap()).await.body
    };
    assert_eq!(ask("POST", "/", "yes").await, "post");
    assert_eq!(ask("GET", "/", "yes").await, "beta");
    assert_eq!(ask("GET", "/?x=1&debug=a+b", "no").await, "debug");
    assert_eq!(ask("GET", "/?debug=c", "no").await, "rest");
}

#[tokio::test]
async fn weights_share_requests_and_a_weight_of_zero_gets_none() {
    let mut mesh = Mesh::start().await;
    let (many, few, none) = (
        Origin::echo("many").await,
        Origin::echo("few").await,
        Origin::echo("none").await,
    );
    let mut shared = route(PathMatch::Prefix, "/", "many");
    shared.backends.clear();
    for (name, origin, weight) in [("many", &many, 9), ("none", &none, 0), ("few", &few, 1)] {
        mesh.put_service(name, &[origin.address]);
        shared.backends.push(WeightedCluster {
            cluster: Name::part("default", name, 80).unwrap(),
            weight,
        });
    }
    mesh.put_table(HostMatch::Any, vec![shared]);
    assert_eq!(mesh.apply().await, []);
    let mut client = super::origin::Client::connect(mesh.http()).await;
    for _ in 0..500 {
        assert_eq!(client.get("h", "/").await.status, 200);
    }
    assert_eq!(none.requests(), 0);
    // 50 are expected; the chance to be outside of this is below 1 in 10^9.
    assert!((10..110).contains(&few.requests()), "{}", few.requests());
    assert_eq!(few.requests() + many.requests(), 500);
}

#[tokio::test]
async fn filters_change_requests_and_responses() {
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.put_service("web", &[origin.address]);
    let with = |rank, path: &str, filters| Route {
        rank,
        filters,
        ..route(PathMatch::Prefix, path, "web")
    };
    let set = |name: &str, value: &str| HeaderChange {
        set: vec![(name.into(), value.into())],
        ..HeaderChange::default()
    };
    let rewrite = Rewrite {
        host: Some("inner.example".into()),
        prefix: Some("/v2".into()),
        ..Rewrite::default()
    };
    let edited = with(
        0,
        "/edited",
        vec![
            Filter::RequestHeaders(set("x-request", "new")),
            Filter::ResponseHeaders(set("x-response", "new")),
            Filter::Rewrite(rewrite),
        ],
    );
    let to_https = Redirect {
        scheme: Some("https".into()),
        status: 308,
        ..Redirect::default()
    };
    let redirected = with(1, "/old", vec![Filter::Redirect(to_https)]);
    let forbidden = with(2, "/no", vec![Filter::Respond(403)]);
    mesh.put_table(HostMatch::Any, vec![edited, redirected, forbidden]);
    assert_eq!(mesh.apply().await, []);
    let answer = get(mesh.http(), "outer.example", "/edited/x?q=1").await;
    assert_eq!(answer.header("x-response"), "new");
    let seen = origin.last();
    assert_eq!(seen.uri(), "/v2/x?q=1");
    assert_eq!(seen.headers()["x-request"], "new");
    assert_eq!(seen.headers()["host"], "inner.example");
    assert_eq!(seen.headers()["x-forwarded-host"], "outer.example");
    let answer = get(mesh.http(), "outer.example:8080", "/old/x?q=1").await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), "https://outer.example/old/x?q=1");
    assert_eq!(get(mesh.http(), "h", "/no").await.status, 403);
}

#[tokio::test]
async fn what_cannot_be_served_is_rejected_and_the_rest_is_served() {
    use meshlite_proto::subscribe::RejectReason::Invalid;
    let mut mesh = Mesh::start().await;
    let origin = Origin::echo("web").await;
    mesh.serve(&[origin.address]).await;
    let host = |name: &str| HostMatch::Exact(name.into());
    mesh.put_routes(host("regex"), &[(PathMatch::Regex, "/(", "web")]);
    mesh.put_routes(host("relative"), &[(PathMatch::Exact, "a", "web")]);
    let rejections = mesh.apply().await;
    let rejected: Vec<_> = rejections
        .iter()
        .map(|rejection| (rejection.name.as_str(), rejection.reason))
        .collect();
    assert_eq!(
        rejected,
        [("meshlite/regex", Invalid), ("meshlite/relative", Invalid),]
    );
    assert_eq!(get(mesh.http(), "anything", "/").await.body, "web");
}

/// The route of a request by definition: of the most specific host, the first by rank that matches.
fn naive<'a>(tables: &'a [(HostMatch, Vec<Route>)], host: &str, path: &str) -> Option<&'a str> {
    let specificity = |of: &HostMatch| match of {
        HostMatch::Exact(name) => (name == host).then_some((3, name.len())),
        HostMatch::OneLabel(domain) => {
            let (label, rest) = host.split_once('.')?;
            (!label.is_empty() && rest == domain).then_some((2, domain.len()))
        }
        HostMatch::Suffix(domain) => {
            let labels = host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
            (!labels.is_empty()).then_some((1, domain.len()))
        }
        HostMatch::Any => Some((0, 0)),
    };
    let matches = |route: &Route| {
        match route.path.kind {
            PathMatch::Exact => return path == route.path.value,
            // Those that are made here end in `.y` or hold nothing special.
            PathMatch::Regex => {
                return match route.path.value.strip_suffix(".y") {
                    Some(start) => path
                        .strip_prefix(start)
                        .is_some_and(|rest| rest.as_bytes().get(1) == Some(&b'y')),
                    None => path.starts_with(&route.path.value),
                };
            }
            PathMatch::Prefix | PathMatch::RegexIgnoreCase => {}
        }
        let rule = route
            .path
            .value
            .strip_suffix('/')
            .unwrap_or(&route.path.value);
        path == rule
            || path
                .strip_prefix(rule)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let mut tables: Vec<_> = tables
        .iter()
        .filter_map(|(of, routes)| Some((specificity(of)?, routes)))
        .collect();
    tables.sort_by_key(|(specificity, _)| std::cmp::Reverse(*specificity));
    tables.iter().enumerate().find_map(|(index, (_, routes))| {
        let served = routes
            .iter()
            .filter(|route| (index == 0 || route.fallback) && matches(route));
        let best = served.min_by_key(|route| route.rank)?;
        Some(best.backends[0].cluster.as_str())
    })
}

fn any_host() -> impl Strategy<Value = HostMatch> {
    let name = || "[ab](\\.[ab]){0,2}";
    prop_oneof![
        name().prop_map(HostMatch::Exact),
        name().prop_map(HostMatch::OneLabel),
        name().prop_map(HostMatch::Suffix),
        Just(HostMatch::Any),
    ]
}

fn any_routes() -> impl Strategy<Value = Vec<Route>> {
    let rule = (0..4, any::<bool>(), "(/[xy]?){1,4}");
    proptest::collection::vec(rule, 1..6).prop_map(|routes| {
        let routes = routes.into_iter().enumerate();
        let routes = routes.map(|(index, (kind, fallback, path))| Route {
            // Not the order of the list.
            rank: u32::try_from((index * 7) % 11).unwrap(),
            fallback,
            ..route(
                match kind {
                    0 => PathMatch::Exact,
                    1 => PathMatch::Prefix,
                    _ => PathMatch::Regex,
                },
                &if kind == 3 { format!("{path}.y") } else { path },
                &format!("s{index}"),
            )
        });
        routes.collect()
    })
}

proptest! {
    #[test]
    fn the_router_equals_a_linear_scan(
        tables in proptest::collection::btree_map(any_host(), any_routes(), 0..6),
        requests in proptest::collection::vec(("[ab](\\.[ab]){0,3}", "(/[xy]?){1,5}"), 1..10),
    ) {
        use crate::table::Lookup;
        let mut tables: Vec<_> = tables.into_iter().collect();
        for (table, (_, routes)) in tables.iter_mut().enumerate() {
            for route in routes {
                let cluster = &mut route.backends[0].cluster;
                *cluster = format!("{table}-{cluster}").parse().unwrap();
            }
        }
        let lookup = Lookup::new(&tables).unwrap();
        for (host, path) in requests {
            prop_assert_eq!(
                lookup.find(&host, &path),
                naive(&tables, &host, &path).map(str::to_owned),
                "{} {}", host, path
            );
        }
    }
}
