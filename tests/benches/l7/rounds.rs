//! Proxies in turn, again and again, so that what the machine does besides meets all alike.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::{
    load::{Load, load},
    plan::Plan,
    stage::Proxy,
};

/// What one request costs one proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Processor time of the proxy, in microseconds.
    pub(crate) cpu: f64,
    /// Requests in a second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Resident memory of the proxy behind it, in MB.
    pub(crate) rss: f64,
}

/// One case: medians by the proxy's name, and why there are none of others.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    pub(crate) of: BTreeMap<&'static str, Cost>,
    pub(crate) missing: BTreeMap<&'static str, String>,
}

impl Cost {
    pub(crate) fn json(&self) -> Value {
        let rounded = |figure: f64| (figure * 1000.0).round() / 1000.0;
        json!({
            "cpu_us": rounded(self.cpu),
            "per_second": self.rate.round(),
            "p50_ms": self.p50.map(rounded),
            "p99_ms": self.p99.map(rounded),
            "rss_mb": self.rss,
        })
    }
}

/// Puts the same load on each proxy, in so many rounds. What fails is told, and left out: of a proxy that does not serve there is
/// no cost.
pub(crate) async fn rounds(
    what: &str,
    plan: &Plan,
    proxies: &[&Proxy],
    kind: Load,
    folder: &Path,
) -> Costs {
    let mut runs: BTreeMap<&'static str, Vec<Cost>> = BTreeMap::new();
    let mut missing = BTreeMap::new();
    let mut able = Vec::new();
    for proxy in proxies {
        // Connections to endpoints are there when it counts. What fails now is not asked again.
        match load(proxy, kind, Duration::from_secs(1), folder).await {
            Ok(_) => able.push(*proxy),
            Err(error) => {
                eprintln!("{what}, {}, before its rounds: {error:#}", proxy.name);
                missing.insert(proxy.name, format!("{error:#}"));
            }
        }
    }
    for round in 0..plan.rounds() {
        for proxy in turned(&able, round) {
            match once(proxy, kind, plan.time(), folder).await {
                Ok(cost) => runs.entry(proxy.name).or_default().push(cost),
                Err(error) => {
                    eprintln!("{what}, {}: {error:#}", proxy.name);
                    missing.insert(proxy.name, format!("{error:#}"));
                }
            }
        }
    }
    let of: BTreeMap<_, _> = runs
        .into_iter()
        .filter_map(|(name, runs)| Some((name, middle(&runs)?)))
        .collect();
    let shown = of
        .iter()
        .map(|(name, cost)| format!("{name} {:.2}", cost.cpu));
    eprintln!(
        "{what}: CPU µs/request: {}",
        shown.collect::<Vec<_>>().join(", ")
    );
    Costs { of, missing }
}

/// Each round begins with another proxy.
fn turned<'a>(proxies: &[&'a Proxy], round: usize) -> Vec<&'a Proxy> {
    let mut turned = proxies.to_vec();
    turned.rotate_left(round.checked_rem(proxies.len()).unwrap_or_default());
    turned
}

async fn once(proxy: &Proxy, kind: Load, time: Duration, folder: &Path) -> anyhow::Result<Cost> {
    let before = proxy.process.cpu()?;
    let served = load(proxy, kind, time, folder).await?;
    ensure!(served.requests > 0.0, "nothing was served in {time:?}");
    let spent = proxy.process.cpu()?.saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
    let rss = proxy.process.resident_mb()? as f64;
    Ok(Cost {
        cpu: spent.as_secs_f64() * 1e6 / served.requests,
        rate: served.requests / time.as_secs_f64(),
        p50: served.p50,
        p99: served.p99,
        rss,
    })
}

/// The median of each figure for itself.
fn middle(runs: &[Cost]) -> Option<Cost> {
    let of = |figure: fn(&Cost) -> Option<f64>| median(runs.iter().filter_map(figure).collect());
    Some(Cost {
        cpu: of(|cost| Some(cost.cpu))?,
        rate: of(|cost| Some(cost.rate))?,
        p50: of(|cost| cost.p50),
        p99: of(|cost| cost.p99),
        rss: of(|cost| Some(cost.rss))?,
    })
}

/// The middle one; none of none.
pub(crate) fn median(mut runs: Vec<f64>) -> Option<f64> {
    quantile(&mut runs, 50)
}

/// The one that so many hundredths are below; none of none.
pub(crate) fn quantile(runs: &mut [f64], hundredths: usize) -> Option<f64> {
    runs.sort_unstable_by(f64::total_cmp);
    runs.get(runs.len() * hundredths / 100).copied()
}
