//! Endpoints that do and do not answer.

use super::*;
use crate::testing::key;

const ONE: &str = "10.244.0.1:80";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn checks(endpoints: &[SocketAddr], now: Instant) -> Checks {
    let mut checks = Checks::default();
    let endpoints = endpoints.iter().copied().collect();
    checks.set(key("TCP 10.96.0.1:80"), endpoints, now, || 0.0);
    checks
}

/// Asks whoever is next.
fn ask(checks: &mut Checks, is_alive: Option<bool>) -> bool {
    let now = checks.next_at().unwrap();
    let address = checks.next(now).unwrap();
    checks.answered(address, is_alive, now, 0.5)
}

#[test]
fn an_endpoint_dies_of_three_failures_in_a_row_and_one_answer_brings_it_back() {
    let mut checks = checks(&[address(ONE)], Instant::now());
    let answers = [false, false, true, false, false, false, false, true];
    let turns = answers.map(|is_alive| ask(&mut checks, Some(is_alive)));
    let expected = [false, false, false, false, false, true, false, true];
    assert_eq!(turns, expected);
    assert!(checks.dead().is_empty());
}

#[test]
fn asking_that_teaches_nothing_changes_nothing() {
    let mut checks = checks(&[address(ONE)], Instant::now());
    for is_alive in [Some(false), Some(false), None] {
        assert!(!ask(&mut checks, is_alive));
    }
    assert!(ask(&mut checks, Some(false)), "the third failure");
    assert!(!ask(&mut checks, None));
    assert!(checks.dead().contains(&address(ONE)));
}

#[test]
fn an_endpoint_is_asked_once_a_period_however_many_virtual_servers_have_it() {
    let start = Instant::now();
    let mut checks = checks(&[address(ONE)], start);
    let other = key("TCP 10.96.0.2:80");
    checks.set(other, [address(ONE)].into(), start, || 0.0);
    assert_eq!(checks.next(start), Some(address(ONE)));
    assert_eq!(
        (checks.next(start), checks.next_at()),
        (None, None),
        "it is being asked"
    );
    checks.answered(address(ONE), Some(true), start, 0.5);
    assert_eq!(checks.next_at(), Some(start + PERIOD));
    checks.set(other, BTreeSet::new(), start, || 0.0);
    assert_eq!(checks.next_at(), Some(start + PERIOD), "one still has it");
}

#[test]
fn an_endpoint_that_is_gone_is_forgotten_even_while_it_is_being_asked() {
    let start = Instant::now();
    let mut checks = checks(&[address(ONE)], start);
    for _ in 0..3 {
        ask(&mut checks, Some(false));
    }
    let now = checks.next_at().unwrap();
    let asked = checks.next(now).unwrap();
    checks.set(key("TCP 10.96.0.1:80"), BTreeSet::new(), now, || 0.0);
    assert!(checks.dead().is_empty());
    checks.set(key("TCP 10.96.0.1:80"), [asked].into(), now, || 0.0);
    assert!(
        !checks.answered(asked, Some(false), now, 0.5),
        "it starts anew"
    );
    assert_eq!(checks.next(now), Some(asked));
}

#[test]
fn few_are_asked_at_once_and_many_are_asked_less_often() {
    let start = Instant::now();
    let many: Vec<_> = (0..10_000_u32)
        .map(|n| SocketAddr::from((n.to_be_bytes(), 80)))
        .collect();
    let mut checks = checks(&many, start);
    let end = start + Duration::from_mins(1);
    let asked: Vec<_> = std::iter::from_fn(|| checks.next(end)).collect();
    assert_eq!(asked.len(), AT_ONCE);
    assert_eq!(checks.next_at(), None);
    checks.answered(asked[0], Some(true), end, 0.5);
    assert!(checks.next_at().is_some());
    assert_eq!(checks.period(), Duration::from_secs(20));
}
