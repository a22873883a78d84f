//! The cases that every proxy gets, and the ratios that come of them.

use std::collections::BTreeMap;

use anyhow::anyhow;
use meshlite_tests::figures::Figures;
use serde_json::{Map, Value};

use crate::{
    load::Load,
    plan::Plan,
    rounds::{Costs, rounds},
    stage::{FLOOR, OURS, PEERS, Stage},
};

/// The costs of each case, by its title.
pub(crate) type Measured = BTreeMap<String, Costs>;

/// Something that every proxy is asked to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// As `--only` takes it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    /// What its ratio to a peer is called, before and behind the peer's name.
    pub(crate) ratio: (&'static str, &'static str),
}

/// In the order in which they run.
const CASES: [Case; 13] = [
    case(
        "keep64",
        "64 connections",
        Load::Kept(64),
        ("cpu_vs_", "_64"),
    ),
    case(
        "keep512",
        "512 connections",
        Load::Kept(512),
        ("cpu_vs_", "_512"),
    ),
    case(
        "short",
        "short connections",
        Load::Short(64),
        ("short_vs_", ""),
    ),
    case(
        "tls-full",
        "full TLS handshakes",
        Load::Tls { is_resumed: false },
        ("tls_full_vs_", ""),
    ),
    case(
        "tls-resumed",
        "resumed TLS handshakes",
        Load::Tls { is_resumed: true },
        ("tls_resumed_vs_", ""),
    ),
    case(
        "tls-kept",
        "TLS, 64 connections",
        Load::KeptTls(64),
        ("tls_vs_", "_64"),
    ),
    case("h2", "HTTP/2, 400 streams", Load::Http2, ("h2_vs_", "")),
    case(
        "down",
        "10 MiB to the client",
        Load::Down(8),
        ("down_vs_", ""),
    ),
    case("up", "10 MiB to the origin", Load::Up(8), ("up_vs_", "")),
    case(
        "websocket",
        "WebSocket messages, 64 connections",
        Load::WebSocket(64),
        ("websocket_vs_", ""),
    ),
    case("grpc", "gRPC, 400 calls", Load::Grpc, ("grpc_vs_", "")),
    case(
        "log",
        "64 connections, access log",
        Load::Logged(64),
        ("log_vs_", "_64"),
    ),
    case(
        "metrics",
        "64 connections, metrics read twice a second",
        Load::Scraped(64),
        ("metrics_vs_", "_64"),
    ),
];

const fn case(
    name: &'static str,
    title: &'static str,
    load: Load,
    ratio: (&'static str, &'static str),
) -> Case {
    Case {
        name,
        title,
        load,
        ratio,
    }
}

/// As `--only` takes them.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|case| case.name)
}

/// Runs all cases that are asked for.
pub(crate) async fn run(plan: &Plan, figures: &mut Figures, measured: &mut Measured) {
    let cases: Vec<_> = CASES
        .into_iter()
        .filter(|case| plan.has(case.name))
        .collect();
    if cases.is_empty() {
        return;
    }
    let stage = Stage::set(plan, 1, true).await;
    for case in cases {
        match plan
            .in_time()
            .and(stage.as_ref().map_err(|error| anyhow!("{error:#}")))
        {
            Ok(stage) => {
                let under = stage.under(case.load);
                let mut costs = rounds(case.title, plan, &under, case.load, &stage.folder()).await;
                costs.missing.extend(stage.missing.clone());
                compare(&case, &costs, figures);
                measured.insert(case.title.to_owned(), costs);
            }
            Err(why) => leave_out(&case, &why.to_string(), figures),
        }
    }
}

/// Adds a case's ratios: what a request costs ours, over what it costs a peer.
pub(crate) fn compare(case: &Case, costs: &Costs, figures: &mut Figures) {
    for peer in compared(case) {
        let key = key(case, peer);
        let ratio = || Some(costs.of.get(OURS)?.cpu / costs.of.get(peer)?.cpu);
        if let Some(ratio) = ratio() {
            let meaning = format!("CPU per request, {}, over {peer}'s", case.title);
            figures.add(&key, (ratio * 100.0).round() / 100.0, &meaning);
        } else {
            let why = costs.missing.get(peer).or(costs.missing.get(OURS));
            let why = why.map_or("it was not there", String::as_str);
            figures.add(&key, Value::Null, &format!("not measured: {why}"));
        }
    }
}

fn leave_out(case: &Case, why: &str, figures: &mut Figures) {
    for peer in compared(case) {
        let meaning = format!("not measured: {why}");
        figures.add(&key(case, peer), Value::Null, &meaning);
    }
}

/// Who is measured beside ours.
fn compared(case: &Case) -> impl Iterator<Item = &'static str> {
    let floor = case.load.is_for_the_floor().then_some(FLOOR);
    PEERS.into_iter().chain(floor)
}

fn key(case: &Case, peer: &str) -> String {
    format!("{}{peer}{}", case.ratio.0, case.ratio.1)
}

/// A table of all costs, for people.
pub(crate) fn table(measured: &Measured) -> String {
    let mut lines = vec![format!(
        "{:<46} {:<9} {:>10} {:>9} {:>9} {:>9} {:>7}",
        "case", "proxy", "CPU µs", "per s", "p50 ms", "p99 ms", "RSS MB"
    )];
    let quantile = |of: Option<f64>| of.map_or("-".to_owned(), |of| format!("{of:.2}"));
    for (title, costs) in measured {
        for (name, cost) in &costs.of {
            lines.push(format!(
                "{title:<46} {name:<9} {:>10.2} {:>9.0} {:>9} {:>9} {:>7.0}",
                cost.cpu,
                cost.rate,
                quantile(cost.p50),
                quantile(cost.p99),
                cost.rss
            ));
        }
        for (name, why) in &costs.missing {
            lines.push(format!("{title:<46} {name:<9} not measured: {why}"));
        }
    }
    lines.join("\n")
}

/// All costs, by case and proxy; null with a reason for what could not be measured.
pub(crate) fn json(measured: &Measured) -> Value {
    let of = |costs: &Costs| -> Value {
        let there = costs.of.iter().map(|(name, cost)| (*name, cost.json()));
        let missing = costs
            .missing
            .iter()
            .filter(|(name, _)| !costs.of.contains_key(*name));
        let missing = missing.map(|(name, _)| (*name, Value::Null));
        let all = there
            .chain(missing)
            .map(|(name, value)| (name.to_owned(), value));
        all.collect::<Map<_, _>>().into()
    };
    let cases = measured
        .iter()
        .map(|(title, costs)| (title.clone(), of(costs)));
    cases.collect::<Map<_, _>>().into()
}
