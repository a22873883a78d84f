//! What is taken in, and when it is published.

use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const WALL: SystemTime = SystemTime::UNIX_EPOCH;

fn watermark(version: u64) -> Watermark {
    (version, "cluster".into())
}

fn key() -> ObjectKey {
    ObjectKey::new("shop", "tls")
}

/// An intake of two streams, both complete.
fn complete(now: Instant) -> Intake {
    let mut intake = Intake::new([Kind::Service, Kind::Secret].into_iter());
    intake.read(0, Some(watermark(5)), WALL, now);
    intake.read(1, Some(watermark(6)), WALL, now);
    intake
}

/// An intake that has published.
fn published(now: Instant) -> Intake {
    let mut intake = complete(now);
    assert!(turn(&mut intake, [], now), "nothing is published");
    intake
}

/// A turn after which these Secrets are wanted. Says whether something is published.
fn turn(intake: &mut Intake, wanted: impl IntoIterator<Item = ObjectKey>, now: Instant) -> bool {
    if intake.start(now) {
        let wanted = wanted.into_iter().collect();
        intake.compiled(Delta::default(), false, wanted, now);
    }
    intake.release(now).is_some()
}

fn changed(intake: &mut Intake, effect: Effect, now: Instant) {
    intake.changed(Some(effect), WALL, now);
}

#[test]
fn nothing_is_compiled_before_every_list_is_complete() {
    let now = Instant::now();
    let mut intake = Intake::new([Kind::Service, Kind::Secret].into_iter());
    changed(&mut intake, Effect::Changes, now);
    intake.read(0, Some(watermark(5)), WALL, now);
    assert_eq!(intake.due(now), None);
    intake.read(1, None, WALL, now);
    assert_eq!(intake.due(now), None);
    intake.read(1, Some(watermark(6)), WALL, now);
    assert_eq!(intake.due(now), Some(now));
}

#[test]
fn a_cluster_without_objects_is_published_too() {
    let now = Instant::now();
    let intake = complete(now);
    assert_eq!(intake.due(now), Some(now));
    published(now);
}

#[test]
fn the_first_publication_waits_for_every_wanted_secret_however_long() {
    let now = Instant::now();
    let mut intake = complete(now);
    assert!(!turn(&mut intake, [key()], now));
    let later = now + ms(3_600_000);
    assert_eq!(intake.due(later), None);
    assert!(!turn(&mut intake, [key()], later));
    intake.answered(key(), Answer::Missing, WALL, later);
    assert_eq!(intake.due(later), Some(later));
    assert!(turn(&mut intake, [key()], later));
}

#[test]
fn a_secret_that_is_named_for_the_first_time_is_awaited_for_a_second() {
    let now = Instant::now();
    let mut intake = published(now);
    changed(&mut intake, Effect::Changes, now + ms(100));
    assert!(!turn(&mut intake, [key()], now + ms(100)));
    assert_eq!(intake.due(now + ms(100)), Some(now + ms(1100)));
    assert!(!turn(&mut intake, [key()], now + ms(1000)));
    assert!(turn(&mut intake, [key()], now + ms(1100)));
}

#[test]
fn an_answer_ends_the_wait() {
    let now = Instant::now();
    let mut intake = published(now);
    changed(&mut intake, Effect::Changes, now + ms(100));
    assert!(!turn(&mut intake, [key()], now + ms(100)));
    let answered = now + ms(105);
    intake.answered(key(), Answer::Missing, WALL, answered);
    assert_eq!(intake.due(answered), Some(answered));
    assert!(turn(&mut intake, [key()], answered));
}

#[test]
fn what_takes_away_waits_a_quarter_of_a_second_at_most() {
    let start = Instant::now();
    let mut intake = published(start);
    let mut now = start;
    for _ in 0..10 {
        now = intake.due(now).unwrap_or(now);
        changed(&mut intake, Effect::Changes, now);
        now = intake.due(now).expect("a change is due");
        assert!(turn(&mut intake, [], now));
    }
    changed(&mut intake, Effect::Changes, now);
    assert_eq!(intake.due(now), Some(now + ms(500)));
    changed(&mut intake, Effect::TakesAway, now + ms(10));
    assert_eq!(intake.due(now + ms(10)), Some(now + ms(260)));
}

#[test]
fn a_removal_does_not_wait_for_a_secret() {
    let now = Instant::now();
    let mut intake = published(now);
    let later = now + ms(100);
    changed(&mut intake, Effect::Changes, later);
    assert!(!turn(&mut intake, [key()], later));
    changed(&mut intake, Effect::TakesAway, later + ms(10));
    assert_eq!(intake.due(later + ms(10)), Some(later + ms(260)));
    assert!(turn(&mut intake, [key()], later + ms(260)));
}

#[test]
fn what_changes_nothing_is_due_only_to_show_how_far_was_read() {
    let now = Instant::now();
    let mut intake = published(now);
    changed(&mut intake, Effect::Nothing, now);
    assert_eq!(intake.due(now), None);
    intake.read(0, Some(watermark(9)), WALL, now);
    assert_eq!(intake.due(now), Some(now + READ_ON));
    assert_eq!(intake.watermarks()["services"].0, 9);
}

#[test]
fn the_namespace_that_was_read_least_far_decides() {
    let now = Instant::now();
    let mut intake = Intake::new([Kind::Service, Kind::Service].into_iter());
    intake.read(0, Some(watermark(50)), WALL, now);
    intake.read(1, Some(watermark(7)), WALL, now);
    assert_eq!(intake.watermarks()["services"].0, 7);
}

#[test]
fn a_secret_that_may_not_be_read_is_a_finding_until_it_may() {
    let now = Instant::now();
    let mut intake = published(now);
    changed(&mut intake, Effect::Changes, now);
    assert!(!turn(&mut intake, [key()], now));
    let forbidden = Answer::Forbidden("status 403".into());
    intake.answered(key(), forbidden, WALL, now);
    let findings: Vec<_> = intake.findings().collect();
    assert_eq!(findings[0].object, ObjectRef::new("Secret", "shop", "tls"));
    assert!(
        findings[0].message.contains("403"),
        "{}",
        findings[0].message
    );
    intake.start(now);
    intake.compiled(Delta::default(), false, [key()].into(), now);
    assert!(intake.release(now).is_some_and(|turn| turn.has_findings));
    intake.answered(key(), Answer::Missing, WALL, now);
    assert_eq!(intake.findings().count(), 0);
}
