//! How often what is said, and how much is remembered.

use meshlite_snapshot::Version;

use super::{super::Subject, *};

fn notices(uid: &str, count: usize) -> Vec<Notice> {
    let notice = |n: usize| Notice {
        subject: Subject {
            kind: "Ingress".into(),
            namespace: "shop".into(),
            name: "web".into(),
            uid: uid.into(),
        },
        reason: "Conflict".into(),
        about: n.to_string(),
        message: "no".into(),
    };
    (0..count).map(notice).collect()
}

fn posted(notice: &Notice, count: i32, age: Duration) -> Posted {
    Posted {
        count,
        age,
        version: "1".into(),
        says: Version::of(notice.message.as_bytes()),
    }
}

fn say(book: &mut EventBook, notices: &[Notice], now: Instant) -> usize {
    let due = book.due(notices, usize::MAX, now);
    for (notice, known) in &due {
        let count = known.as_ref().map_or(0, |known| known.count);
        book.posted(notice, posted(notice, count + 1, Duration::ZERO), now);
    }
    due.len()
}

#[test]
fn what_lasts_is_repeated_now_and_then_and_what_is_over_is_not() {
    let mut book = EventBook::default();
    let start = Instant::now();
    let lasting = notices("u", 2);
    assert_eq!(say(&mut book, &lasting, start), 2);
    assert_eq!(say(&mut book, &lasting, start + REPEAT / 2), 0);
    assert_eq!(say(&mut book, &lasting[..1], start + REPEAT), 1);
    let again = book.due(&lasting, 9, start + REPEAT * 2);
    let counts = again
        .iter()
        .map(|(_, known)| known.as_ref().map(|k| k.count));
    assert_eq!(counts.collect::<Vec<_>>(), [Some(1), Some(2)]);
}

#[test]
fn other_words_are_said_soon_but_not_all_the_time() {
    let mut book = EventBook::default();
    let start = Instant::now();
    let mut changing = notices("u", 1);
    let mut said = 0;
    for second in 0..300 {
        changing[0].message = format!("{second} nodes");
        said += say(&mut book, &changing, start + Duration::from_secs(second));
    }
    assert_eq!(said, 10);
}

#[test]
fn an_object_with_many_problems_is_bounded_and_disturbs_no_other() {
    let mut book = EventBook::default();
    let start = Instant::now();
    let noisy = notices("noisy", 100);
    assert_eq!(say(&mut book, &noisy, start), 25);
    assert_eq!(say(&mut book, &notices("quiet", 1), start), 1);
    let hour = (1..=3600).map(|second| {
        let now = start + Duration::from_secs(second);
        say(&mut book, &noisy, now)
    });
    assert_eq!(hour.sum::<usize>(), 12);
}

#[test]
fn an_event_of_another_leader_is_left_alone_until_it_is_old() {
    let mut book = EventBook::default();
    let now = Instant::now() + MEMORY;
    let notice = &notices("u", 1)[0];
    let theirs = posted(notice, 7, REPEAT / 2);
    book.posted(notice, theirs.clone(), now);
    let all = std::slice::from_ref(notice);
    assert_eq!(book.due(all, 9, now), []);
    let later = now + REPEAT / 2;
    assert_eq!(book.due(all, 9, later), [(notice, Some(theirs))]);
}

#[test]
fn new_notices_come_before_repeated_ones() {
    let mut book = EventBook::default();
    let start = Instant::now();
    let all = notices("u", 3);
    say(&mut book, &all[..2], start);
    let due = book.due(&all, 1, start + REPEAT);
    assert_eq!(due, [(&all[2], None)]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut book = EventBook::default();
    let start = Instant::now();
    for n in 0..MOST + 100 {
        let notice = &notices(&n.to_string(), 1)[0];
        let now = start + Duration::from_millis(n as u64);
        book.posted(notice, posted(notice, 1, Duration::ZERO), now);
    }
    assert_eq!(book.said.len(), MOST);
    say(&mut book, &notices("last", 1), start + REPEAT / 2);
    assert_eq!((book.said.len(), book.budgets.len()), (MOST, 1));
    assert_eq!(book.due(&[], 9, start + MEMORY * 2), []);
    assert!(book.said.is_empty() && book.budgets.is_empty());
}
