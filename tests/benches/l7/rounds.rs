//! Proxies in turn, again and again, so that what the machine does besides meets all alike.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;

use crate::{
    Plan,
    load::{Load, load},
    stage::Proxy,
};

/// What one request costs one proxy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Processor time of the proxy, in microseconds.
    pub(crate) cpu: f64,
    /// Requests in a second.
    pub(crate) rate: f64,
    /// Milliseconds, where the load says them.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// Medians by the proxy's name.
pub(crate) type Costs = BTreeMap<&'static str, Cost>;

/// Puts the same load on each proxy, in so many rounds. `url` says where a proxy has what is asked for. What fails is told,
/// and left out: of a proxy that does not serve there is no cost.
pub(crate) async fn rounds(
    what: &str,
    plan: Plan,
    proxies: &[&Proxy],
    kind: Load,
    url: impl Fn(&Proxy) -> String,
) -> Costs {
    let mut runs: BTreeMap<&'static str, Vec<Cost>> = BTreeMap::new();
    for proxy in proxies {
        // Connections to endpoints are there when it counts.
        if let Err(error) = load(&url(proxy), kind, Duration::from_secs(1)).await {
            eprintln!("{what}, {}, before its rounds: {error:#}", proxy.name);
        }
    }
    for round in 0..plan.rounds {
        for proxy in turned(proxies, round) {
            match once(proxy, &url(proxy), kind, plan.time()).await {
                Ok(cost) => runs.entry(proxy.name).or_default().push(cost),
                Err(error) => eprintln!("{what}, {}: {error:#}", proxy.name),
            }
        }
    }
    let costs: Costs = runs
        .into_iter()
        .map(|(name, runs)| (name, middle(&runs)))
        .collect();
    let shown = costs
        .iter()
        .map(|(name, cost)| format!("{name} {:.2}", cost.cpu));
    eprintln!(
        "{what}: CPU µs/request: {}",
        shown.collect::<Vec<_>>().join(", ")
    );
    costs
}

/// Each round begins with another proxy.
fn turned<'a>(proxies: &[&'a Proxy], round: usize) -> Vec<&'a Proxy> {
    let mut turned = proxies.to_vec();
    turned.rotate_left(round.checked_rem(proxies.len()).unwrap_or_default());
    turned
}

async fn once(proxy: &Proxy, url: &str, kind: Load, time: Duration) -> anyhow::Result<Cost> {
    let before = proxy.process.cpu()?;
    let served = load(url, kind, time).await?;
    ensure!(served.requests > 0.0, "nothing was served in {time:?}");
    let spent = proxy.process.cpu()?.saturating_sub(before);
    Ok(Cost {
        cpu: spent.as_secs_f64() * 1e6 / served.requests,
        rate: served.requests / time.as_secs_f64(),
        p50: served.p50,
        p99: served.p99,
    })
}

/// The median of each figure for itself.
fn middle(runs: &[Cost]) -> Cost {
    let of = |figure: fn(&Cost) -> Option<f64>| median(runs.iter().filter_map(figure).collect());
    Cost {
        cpu: of(|cost| Some(cost.cpu)).unwrap_or_default(),
        rate: of(|cost| Some(cost.rate)).unwrap_or_default(),
        p50: of(|cost| cost.p50),
        p99: of(|cost| cost.p99),
    }
}

/// The middle one; none of none.
pub(crate) fn median(mut runs: Vec<f64>) -> Option<f64> {
    runs.sort_unstable_by(f64::total_cmp);
    runs.get(runs.len() / 2).copied()
}
