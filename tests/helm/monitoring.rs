//! Dashboards and alerts: every metric that they use is one that a plane has.

use std::{collections::BTreeSet, fs};

use meshlite_tests::world::{Family, Host, World};
use serde_json::Value;

use crate::helm::chart;

/// What metrics of Meshlite begin with.
const PREFIXES: [&str; 4] = ["meshlite_", "kubeproxy_", "process_", "leader_election_"];

/// Every expression, with where it is.
fn expressions() -> Vec<(String, String)> {
    let files = chart().join("files");
    let alerts = fs::read_to_string(files.join("alerts.yaml")).unwrap();
    let alerts: Value = yaml_serde::from_str(&alerts).unwrap();
    let rules = alerts["groups"].as_array().unwrap().iter();
    let rules = rules.flat_map(|group| group["rules"].as_array().unwrap());
    let of = |object: &Value, field: &str| object[field].as_str().unwrap().to_owned();
    let mut found: Vec<_> = rules
        .map(|rule| (of(rule, "alert"), of(rule, "expr")))
        .collect();
    for file in fs::read_dir(files.join("dashboards")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let targets = panel["targets"].as_array().unwrap().iter();
            found.extend(targets.map(|target| (of(panel, "title"), of(target, "expr"))));
        }
    }
    found
}

/// The names of metrics in an expression.
fn metrics(expression: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_name(c));
    let names = words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
    names.map(str::to_owned).collect()
}

/// The names of the metrics that a plane shows, asked on its own host.
fn shown(host: &Host, port: u16) -> BTreeSet<String> {
    let at = if port == 10249 {
        ([127, 0, 0, 1], port).into()
    } else {
        host.at(Family::V4, port)
    };
    let (status, text) = host.get(at, "/metrics").unwrap();
    assert_eq!(status, "200", "{at}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.split(['{', ' ']).next());
    names.map(str::to_owned).collect()
}

/// Asks the planes of a world in which the chart is installed.
pub(crate) fn every_metric_exists(world: &World) {
    // The leader is one of two, and only it writes.
    let mut exist: BTreeSet<_> = world.nodes().flat_map(|node| shown(node, 18001)).collect();
    exist.extend(shown(world.node(0), 10249));
    exist.extend(shown(world.pod(0, 0), 10254));
    for (place, expression) in expressions() {
        let used = metrics(&expression);
        assert!(!used.is_empty(), "{place}: {expression}");
        let missing: Vec<_> = used.difference(&exist).collect();
        assert!(
            missing.is_empty(),
            "{place} uses {missing:?}, which no plane has; they have {exist:#?}"
        );
    }
}
