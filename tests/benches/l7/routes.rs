//! What a request costs with 1, 1,000 and 10,000 routes, all of which are asked for in turn.

use meshlite_tests::figures::Figures;
use serde_json::Value;

use crate::{
    cases::{Case, Measured, compare},
    load::Load,
    plan::Plan,
    rounds::rounds,
    stage::{OURS, Stage},
};

/// How many routes, and the ratio's name.
const SIZES: [(usize, &str, &str); 3] = [
    (1, "1 route", "routes_1_vs_"),
    (1000, "1,000 routes", "routes_1k_vs_"),
    (10_000, "10,000 routes", "routes_10k_vs_"),
];

/// Runs all sizes, each on a stage of its own.
pub(crate) async fn run(
    plan: &Plan,
    figures: &mut Figures,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    for (routes, title, ratio) in SIZES {
        let stage = Stage::set(plan, routes, false).await?;
        let case = Case {
            name: "routes",
            title,
            load: Load::Spread(64),
            ratio: (ratio, ""),
        };
        let mut costs = rounds(title, plan, &stage.all(), case.load, &stage.folder()).await;
        costs.missing.extend(stage.missing.clone());
        compare(&case, &costs, figures);
        measured.insert(title.to_owned(), costs);
    }
    let of = |(_, title, _): (usize, &str, &str)| Some(measured.get(title)?.of.get(OURS)?.cpu);
    let [one, _, many] = SIZES.map(of);
    let ratio = one
        .zip(many)
        .map(|(one, many)| (many / one * 100.0).round() / 100.0);
    figures.add(
        "routes_10k_vs_1_cpu",
        ratio.map_or(Value::Null, Value::from),
        "CPU per request of the ingress with 10,000 routes, all asked for, over that with one",
    );
    Ok(())
}
