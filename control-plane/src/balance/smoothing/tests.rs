//! What reports come to over time.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn ip(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

/// The Service `web` with endpoints of these weights.
fn balanced(bases: &[u16]) -> Balanced {
    let bases = (1..).zip(bases).map(|(n, base)| (ip(n), *base)).collect();
    Balanced::from([(key("web"), Arc::new(bases))])
}

/// What the endpoints of `web` carry.
fn loads(counts: &[u64]) -> Loads {
    let mut loads = Loads::default();
    for (n, count) in (1..).zip(counts) {
        loads.count(key("web"), ip(n), *count);
    }
    loads
}

/// The factors of `web`, by endpoint.
fn factors(all: &AllFactors) -> Vec<u32> {
    let factors = all.get(&key("web"));
    factors.map_or_else(Vec::new, |factors| factors.values().copied().collect())
}

#[test]
fn loads_of_thirty_and_ten_give_weights_of_one_to_three() {
    let mut smoothing = Smoothing::default();
    let all = smoothing.turn(&balanced(&[100, 100]), &loads(&[30, 10]), Instant::now());
    assert_eq!(factors(&all), [667, 2_000]);
}

#[test]
fn an_endpoint_with_thrice_the_weight_may_carry_thrice_the_connections() {
    let mut smoothing = Smoothing::default();
    let now = Instant::now();
    let all = smoothing.turn(&balanced(&[100, 300]), &loads(&[10, 30]), now);
    assert_eq!(factors(&all), [0; 0]);
    let all = Smoothing::default().turn(&balanced(&[100, 300]), &loads(&[10, 10]), now);
    assert_eq!(factors(&all), [667, 2_000]);
}

#[test]
fn where_nothing_is_reported_load_asks_for_nothing() {
    let mut smoothing = Smoothing::default();
    let now = Instant::now();
    let all = smoothing.turn(&balanced(&[100, 100]), &Loads::default(), now);
    assert_eq!(all, AllFactors::new());
    assert!(smoothing.0.is_empty(), "nothing is kept of it");
    let all = smoothing.turn(&balanced(&[100, 100]), &loads(&[0, 0]), now);
    assert_eq!(all, AllFactors::new());
    // Nor for a Service that nobody asked to balance.
    let all = smoothing.turn(&Balanced::new(), &loads(&[30, 10]), now);
    assert_eq!(all, AllFactors::new());
}

#[test]
fn an_endpoint_without_connections_gets_eight_times_as_much_and_no_more() {
    let mut smoothing = Smoothing::default();
    let (now, bases) = (Instant::now(), balanced(&[100; 3]));
    let all = smoothing.turn(&bases, &loads(&[50, 50, 0]), now);
    assert_eq!(factors(&all), [667, 667, 8_000]);
    let all = Smoothing::default().turn(&balanced(&[100; 20]), &loads(&[1_000]), now);
    assert_eq!(factors(&all)[..2], [125, 8_000]);
}

#[test]
fn an_endpoint_that_is_to_get_nothing_does_not_count() {
    let mut smoothing = Smoothing::default();
    let bases = balanced(&[100, 100, 0]);
    let all = smoothing.turn(&bases, &loads(&[30, 10, 500]), Instant::now());
    assert_eq!(factors(&all), [667, 2_000]);
}

#[test]
fn a_change_counts_by_half_after_twenty_seconds_however_often_it_is_looked_at() {
    let (start, bases) = (Instant::now(), balanced(&[100, 100]));
    for turns in [1, 4, 20] {
        let mut smoothing = Smoothing::default();
        smoothing.turn(&bases, &loads(&[40, 0]), start);
        for turn in 1..=turns {
            let now = start + 20 * SECOND * turn / turns;
            smoothing.turn(&bases, &loads(&[0, 40]), now);
        }
        let smoothed = &smoothing.0[&key("web")].loads;
        assert!((smoothed[&ip(1)] - 20.0).abs() < 0.01, "{smoothed:?}");
        assert!((smoothed[&ip(2)] - 20.0).abs() < 0.01, "{smoothed:?}");
    }
}

#[test]
fn weights_stay_for_ten_seconds_and_for_anything_below_a_fifth() {
    let mut smoothing = Smoothing::default();
    let (start, bases) = (Instant::now(), balanced(&[100, 100]));
    let first = smoothing.turn(&bases, &loads(&[30, 10]), start);
    let at = |seconds: u32| start + SECOND * seconds;
    assert_eq!(smoothing.turn(&bases, &loads(&[10, 900]), at(9)), first);
    let second = smoothing.turn(&bases, &loads(&[10, 900]), at(10));
    assert_ne!(second, first);
    // Much later, and nearly as it was.
    let mut smoothing = Smoothing::default();
    let first = smoothing.turn(&bases, &loads(&[30, 10]), start);
    assert_eq!(smoothing.turn(&bases, &loads(&[31, 9]), at(600)), first);
    assert_eq!(smoothing.turn(&bases, &loads(&[27, 11]), at(1200)), first);
    assert_ne!(smoothing.turn(&bases, &loads(&[20, 15]), at(1800)), first);
}

#[test]
fn when_connections_end_what_is_written_counts_again() {
    let mut smoothing = Smoothing::default();
    let (start, bases) = (Instant::now(), balanced(&[100, 100]));
    assert_eq!(smoothing.turn(&bases, &loads(&[30, 10]), start).len(), 1);
    let later = start + 600 * SECOND;
    let all = smoothing.turn(&bases, &Loads::default(), later);
    assert_eq!(all, AllFactors::new());
    // They are not back at once: that would be a change after a change.
    let soon = later + SECOND;
    assert_eq!(smoothing.turn(&bases, &loads(&[30, 10]), soon), all);
    let later = soon + 600 * SECOND;
    assert_eq!(smoothing.turn(&bases, &loads(&[30, 10]), later).len(), 1);
    smoothing.turn(&bases, &Loads::default(), later + 600 * SECOND);
    smoothing.turn(&bases, &Loads::default(), later + 610 * SECOND);
    assert!(smoothing.0.is_empty(), "nothing is kept of it");
}

#[test]
fn a_removed_endpoint_and_a_removed_service_forget_their_loads() {
    let mut smoothing = Smoothing::default();
    let start = Instant::now();
    smoothing.turn(&balanced(&[100; 3]), &loads(&[30, 10, 500]), start);
    let later = start + 10 * SECOND;
    let all = smoothing.turn(&balanced(&[100; 2]), &loads(&[30, 10]), later);
    assert_eq!(factors(&all), [667, 2_000], "as if it had never been");
    // One that comes back at its address begins where the others are.
    let later = start + 20 * SECOND;
    let all = smoothing.turn(&balanced(&[100; 3]), &loads(&[30, 10, 0]), later);
    let third = smoothing.0[&key("web")].loads[&ip(3)];
    assert!((third - 20.0).abs() < 0.01, "{third} of {all:?}");
    assert_eq!(
        smoothing.turn(&Balanced::new(), &loads(&[30, 10]), later),
        AllFactors::new()
    );
    assert!(smoothing.0.is_empty());
}

proptest! {
    #[test]
    fn whatever_is_reported_factors_stay_in_bounds_and_only_of_endpoints_that_there_are(
        bases in proptest::collection::vec(any::<u16>(), 0..6),
        turns in proptest::collection::vec(
            (proptest::collection::vec(prop_oneof![0..100_u64, any::<u64>()], 0..8), 0..100_u32),
            1..20,
        ),
    ) {
        let mut smoothing = Smoothing::default();
        let bases = balanced(&bases);
        let mut now = Instant::now();
        let mut before = (AllFactors::new(), None);
        for (counts, seconds) in turns {
            now += SECOND * seconds;
            let all = smoothing.turn(&bases, &loads(&counts), now);
            for (address, factor) in all.values().flat_map(|factors| factors.iter()) {
                prop_assert!((LEAST..=MOST).contains(factor), "{factor}");
                prop_assert!(bases[&key("web")].get(address).is_some_and(|base| *base > 0));
            }
            if all != before.0 {
                prop_assert!(before.1.is_none_or(|at| now - at >= STAYS), "too soon");
                before = (all, Some(now));
            }
        }
    }

    #[test]
    fn steady_loads_settle(counts in proptest::collection::vec(1..1_000_u64, 2..6)) {
        let mut smoothing = Smoothing::default();
        let bases = balanced(&vec![100; counts.len()]);
        let start = Instant::now();
        let first = smoothing.turn(&bases, &loads(&counts), start);
        for turn in 1..50 {
            let all = smoothing.turn(&bases, &loads(&counts), start + 5 * SECOND * turn);
            prop_assert_eq!(&all, &first);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Connections end after some time, and new ones go where weights say: wherever it begins, it ends in balance.
    #[test]
    fn balancing_a_service_brings_it_to_rest(
        counts in proptest::collection::vec(0..1_000_u32, 2..6),
        ends in 2..200_u64,
    ) {
        let mut smoothing = Smoothing::default();
        let bases = balanced(&vec![100; counts.len()]);
        // In thousandths of a connection.
        let mut carried: Vec<u64> = counts.iter().map(|count| (u64::from(*count) + 1) * 1_000).collect();
        let start = Instant::now();
        for turn in 0..2_000 {
            let whole: Vec<_> = carried.iter().map(|load| (load + 500) / 1_000).collect();
            let all = smoothing.turn(&bases, &loads(&whole), start + 5 * SECOND * turn);
            let factors = match &factors(&all)[..] {
                [] => vec![WRITTEN; carried.len()],
                factors => factors.to_vec(),
            };
            let sum: u64 = factors.iter().copied().map(u64::from).sum();
            for (load, factor) in carried.iter_mut().zip(factors) {
                let comes = 1_000_000 * u64::from(factor) / sum;
                *load = (*load * (ends - 1) + comes) / ends;
            }
        }
        let (least, most) = (carried.iter().min().unwrap(), carried.iter().max().unwrap());
        prop_assert!(*most < 2 * least, "{carried:?}");
    }
}
