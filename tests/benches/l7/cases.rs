//! The cases that every proxy gets, and the ratios that come of them.

use std::collections::BTreeMap;

use meshlite_tests::figures::Figures;
use serde_json::Value;

use crate::{
    Plan,
    load::Load,
    rounds::{Cost, Costs, rounds},
    stage::{OURS, Proxy, Stage},
};

/// The costs of each case, by its name.
pub(crate) type Measured = BTreeMap<&'static str, Costs>;

/// Where a proxy has what is asked for.
type Where = fn(&Proxy) -> String;

/// Runs all cases.
pub(crate) async fn run(stage: &Stage, plan: Plan, figures: &mut Figures) -> Measured {
    let mut measured = Measured::new();
    let cases: [(&str, Load, Where, &[&str]); 6] = [
        ("64 connections", Load::Kept(64), Proxy::http, &ALL),
        ("512 connections", Load::Kept(512), Proxy::http, &ALL),
        ("short connections", Load::Short(64), Proxy::http, &CLOSEST),
        (
            "full TLS handshakes",
            Load::Short(64),
            Proxy::https,
            &CLOSEST,
        ),
        (
            "TLS, 64 connections",
            Load::Kept(64),
            Proxy::https,
            &CLOSEST,
        ),
        ("HTTP/2, 400 streams", Load::Http2, Proxy::h2c, &ALL),
    ];
    for (name, load, url, who) in cases {
        let costs = rounds(name, plan, &stage.of(who), load, url).await;
        measured.insert(name, costs);
    }
    let more = ["--access-log", "combined"];
    match stage.control.ingress(OURS, "127.0.0.2", &[], &more).await {
        Ok(logging) => {
            let mut logged = stage.of(&["nginx"]);
            logged.push(&logging);
            let costs = rounds(LOGGED, plan, &logged, Load::Kept(64), Proxy::logged).await;
            measured.insert(LOGGED, costs);
        }
        Err(error) => eprintln!("{LOGGED}: {error:#}"),
    }
    for (key, case, peer) in RATIOS {
        let costs = measured.get(case);
        let ratio = costs.and_then(|costs| Some(ratio(costs.get(OURS)?, costs.get(peer)?)));
        let meaning = match ratio {
            Some(_) => format!("CPU per request, {case}, over {peer}'s"),
            None => format!("not measured: {OURS} or {peer} could not be had, or did not serve"),
        };
        figures.add(key, ratio.map_or(Value::Null, Value::from), &meaning);
    }
    for (case, costs) in &measured {
        for (name, cost) in costs {
            say(case, name, cost, figures);
        }
    }
    measured
}

const ALL: [&str; 4] = [OURS, "nginx", "haproxy", "envoy"];
const CLOSEST: [&str; 2] = [OURS, "nginx"];
const LOGGED: &str = "64 connections, access log";

/// Which of ours is compared with whose.
const RATIOS: [(&str, &str, &str); 12] = [
    ("cpu_vs_nginx_64", "64 connections", "nginx"),
    ("cpu_vs_nginx_512", "512 connections", "nginx"),
    ("cpu_vs_haproxy_64", "64 connections", "haproxy"),
    ("cpu_vs_haproxy_512", "512 connections", "haproxy"),
    ("cpu_vs_envoy_64", "64 connections", "envoy"),
    ("cpu_vs_envoy_512", "512 connections", "envoy"),
    ("short_vs_nginx", "short connections", "nginx"),
    ("tls_full_vs_nginx", "full TLS handshakes", "nginx"),
    ("tls_vs_nginx_64", "TLS, 64 connections", "nginx"),
    ("h2_vs_envoy", "HTTP/2, 400 streams", "envoy"),
    ("h2_vs_nginx", "HTTP/2, 400 streams", "nginx"),
    ("log_vs_nginx_64", LOGGED, "nginx"),
];

fn ratio(ours: &Cost, theirs: &Cost) -> f64 {
    two_places(ours.cpu / theirs.cpu)
}

fn two_places(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

fn say(case: &str, name: &str, cost: &Cost, figures: &mut Figures) {
    let key = format!("us: {case}, {name}");
    let quantile = |of: Option<f64>| of.map_or("-".to_owned(), |of| format!("{of:.2}"));
    let meaning = format!(
        "µs of CPU a request; {:.0} requests/s, p50 {} ms, p99 {} ms",
        cost.rate,
        quantile(cost.p50),
        quantile(cost.p99)
    );
    figures.add(&key, two_places(cost.cpu), &meaning);
}
