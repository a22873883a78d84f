//! From connections to factors, over time: smoothed, bounded, and changed only where it matters. Pure: it is told the time.

use std::{collections::BTreeMap, mem, net::IpAddr, sync::Arc, time::Duration};

use meshlite_compile::{Bases, Factors, ObjectKey};
use tokio::time::Instant;

use super::{AllFactors, Balanced, Loads};

/// How long it takes until half of a change in load counts.
const HALF_LIFE: Duration = Duration::from_secs(20);
/// How much more, or less, than is written an endpoint gets at most, in thousandths.
const MOST: u32 = 8_000;
const LEAST: u32 = 125;
/// What is written, in thousandths.
const WRITTEN: u32 = 1_000;
/// How far a factor has to move before it is published, as a ratio.
const WORTH_IT: f64 = 1.2;
/// How long factors of a Service stay as they are at least.
const STAYS: Duration = Duration::from_secs(10);
/// Fewer connections than this, over all endpoints, are none.
const IDLE: f64 = 0.5;

/// What is remembered of Services that are balanced by load.
#[derive(Debug, Default)]
pub(super) struct Smoothing(BTreeMap<ObjectKey, Service>);

#[derive(Debug, Default)]
struct Service {
    /// Connections of each endpoint, smoothed; nothing while nothing is reported.
    loads: BTreeMap<IpAddr, f64>,
    at: Option<Instant>,
    published: Arc<Factors>,
    published_at: Option<Instant>,
}

impl Smoothing {
    /// What load asks for now: of Services of which something was reported. What is not balanced any more is forgotten.
    pub(super) fn turn(&mut self, balanced: &Balanced, loads: &Loads, now: Instant) -> AllFactors {
        self.0.retain(|service, _| balanced.contains_key(service));
        for (key, bases) in balanced {
            let reported = loads.of(key);
            if reported.is_some() || self.0.contains_key(key) {
                let service = self.0.entry(key.clone()).or_default();
                service.take(bases, reported, now);
                service.publish(bases, now);
            }
        }
        self.0.retain(|_, service| !service.is_forgotten(now));
        let published = self.0.iter();
        published
            .filter(|(_, service)| !service.published.is_empty())
            .map(|(key, service)| (key.clone(), Arc::clone(&service.published)))
            .collect()
    }
}

impl Service {
    /// Takes in what endpoints carry now. The first report counts at once; an endpoint that is new to the others begins
    /// where they are, so that it is not flooded.
    fn take(&mut self, bases: &Bases, reported: Option<&BTreeMap<IpAddr, u64>>, now: Instant) {
        let is_first = self.loads.is_empty();
        let passed = self.at.map_or(Duration::ZERO, |at| now - at);
        let stays = (-passed.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        self.at = Some(now);
        let mean = mean(&self.loads, bases);
        let mut before = mem::take(&mut self.loads);
        for (address, base) in takers(bases) {
            let load = reported.and_then(|loads| loads.get(address)).copied();
            let load = f64::from(u32::try_from(load.unwrap_or(0)).unwrap_or(u32::MAX));
            let smoothed = match before.remove(address) {
                Some(before) => load + (before - load) * stays,
                None if is_first => load,
                None => mean * f64::from(*base),
            };
            self.loads.insert(*address, smoothed);
        }
        if self.loads.values().sum::<f64>() < IDLE {
            self.loads.clear();
        }
    }

    /// Publishes what it comes to, where that is worth it and the time has come.
    fn publish(&mut self, bases: &Bases, now: Instant) {
        let wanted = self.factors(bases);
        let may = self.published_at.is_none_or(|at| now - at >= STAYS);
        let is_over = wanted.is_empty() && !self.published.is_empty();
        if may && (is_over || differ(&self.published, &wanted)) {
            self.published = Arc::new(wanted);
            self.published_at = Some(now);
        }
    }

    /// What each endpoint should get of what is written: as much more as it carries less than the others do, for its
    /// weight.
    fn factors(&self, bases: &Bases) -> Factors {
        let mean = mean(&self.loads, bases);
        let factor = |(address, load): (&IpAddr, &f64)| {
            let base = bases.get(address)?;
            Some((*address, thousandths(mean * f64::from(*base) / load)))
        };
        self.loads.iter().filter_map(factor).collect()
    }

    /// Nothing is known of it, and it may be published again: who comes and goes changes nothing more often for that.
    fn is_forgotten(&self, now: Instant) -> bool {
        let stays = self.published_at.is_some_and(|at| now - at < STAYS);
        self.loads.is_empty() && self.published.is_empty() && !stays
    }
}

/// The endpoints that are to get anything.
fn takers(bases: &Bases) -> impl Iterator<Item = (&IpAddr, &u16)> {
    bases.iter().filter(|(_, base)| **base > 0)
}

/// Connections of an endpoint for each unit of its weight, on average over those that there still are.
fn mean(loads: &BTreeMap<IpAddr, f64>, bases: &Bases) -> f64 {
    let relative = takers(bases).filter_map(|(address, base)| {
        let load = loads.get(address)?;
        Some(load / f64::from(*base))
    });
    let (sum, count) = relative.fold((0.0, 0.0), |(sum, count), load| (sum + load, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// A ratio in thousandths, within the bounds.
fn thousandths(ratio: f64) -> u32 {
    let thousandths = ratio * f64::from(WRITTEN);
    if thousandths >= f64::from(MOST) {
        MOST
    } else if thousandths > f64::from(LEAST) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 125 and 8,000"
        )]
        let rounded = thousandths.round() as u32;
        rounded
    } else {
        LEAST
    }
}

/// Whether some factor moved far enough.
fn differ(published: &Factors, wanted: &Factors) -> bool {
    let of = |factors: &Factors, address| {
        let factor = factors.get(address).copied();
        f64::from(factor.unwrap_or(WRITTEN))
    };
    let mut addresses = published.keys().chain(wanted.keys());
    addresses.any(|address| {
        let (before, now) = (of(published, address), of(wanted, address));
        now > before * WORTH_IT || before > now * WORTH_IT
    })
}

#[cfg(test)]
mod tests;
