//! What a reflector asks, believes and hands on, whatever the server says.

mod model;

use proptest::prelude::*;

use self::model::{Client, Server, Step};
use super::*;

const ORIGIN: &str = "7e1b2a";

fn origin() -> Arc<str> {
    ORIGIN.into()
}

fn item(name: &str, version: u64) -> Item<u64> {
    Item {
        key: ObjectKey::new("n", name),
        identity: Identity {
            uid: format!("uid-{name}").into(),
            version,
        },
        object: Some(version),
    }
}

fn page(version: u64, items: Vec<Item<u64>>) -> Page<u64> {
    Page {
        version,
        items,
        token: None,
    }
}

fn expired(reflector: &mut Reflector<u64>) {
    reflector.failed(&Failure::Expired, Instant::now(), 0.0);
}

/// A reflector that lists in pages and holds `a` and `b` as of version 10.
fn listed() -> Reflector<u64> {
    let mut reflector = Reflector::new(Known::default());
    reflector.ask(&origin());
    let unsupported = Failure::Unsupported(String::new());
    reflector.failed(&unsupported, Instant::now(), 0.0);
    reflector.ask(&origin());
    reflector
        .page(page(10, vec![item("a", 3), item("b", 4)]))
        .unwrap();
    reflector
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("n", name)
}

#[test]
fn a_server_that_cannot_stream_lists_is_asked_for_pages_at_once() {
    let mut reflector = Reflector::<u64>::new(Known::default());
    assert_eq!(reflector.ask(&origin()), Ask::Stream);
    let failure = Failure::Unsupported("sendInitialEvents: Forbidden".into());
    let wait = reflector.failed(&failure, Instant::now(), 1.0);
    assert_eq!(wait, Duration::ZERO);
    let list = Ask::List {
        token: None,
        paged: true,
    };
    assert_eq!(reflector.ask(&origin()), list);
}

#[test]
fn a_list_that_was_forgotten_between_pages_is_asked_for_at_once() {
    let mut reflector = listed();
    expired(&mut reflector);
    reflector.ask(&origin());
    let first = Page {
        token: Some("t".into()),
        ..page(11, vec![item("a", 3)])
    };
    assert_eq!(reflector.page(first).unwrap(), []);
    let next = Ask::List {
        token: Some("t".into()),
        paged: true,
    };
    assert_eq!(reflector.ask(&origin()), next);
    expired(&mut reflector);
    let whole = Ask::List {
        token: None,
        paged: false,
    };
    assert_eq!(reflector.ask(&origin()), whole);
}

#[test]
fn a_relist_gives_exact_deletes_and_only_what_differs() {
    let mut reflector = listed();
    expired(&mut reflector);
    reflector.ask(&origin());
    let outcomes = reflector.page(page(20, vec![item("a", 3), item("c", 15)]));
    let outcomes = outcomes.unwrap();
    assert_eq!(
        outcomes,
        [Outcome::Gone(key("b")), Outcome::Put(key("c"), 15)]
    );
    assert_eq!(reflector.ask(&origin()), Ask::Watch { after: 20 });
}

#[test]
fn a_relist_that_is_older_than_what_is_held_takes_nothing_away() {
    let mut reflector = listed();
    expired(&mut reflector);
    reflector.ask(&origin());
    let failure = reflector.page(page(9, vec![])).unwrap_err();
    assert_eq!(
        failure,
        Failure::Stale {
            listed: 9,
            held: 10
        }
    );
    reflector.failed(&failure, Instant::now(), 0.0);
    reflector.ask(&origin());
    let outcomes = reflector.page(page(10, vec![item("a", 3)])).unwrap();
    assert_eq!(outcomes, [Outcome::Gone(key("b"))]);
}

#[test]
fn the_list_of_another_cluster_replaces_everything_however_low_its_versions_are() {
    let mut reflector = listed();
    let other: Arc<str> = "other".into();
    let list = Ask::List {
        token: None,
        paged: true,
    };
    assert_eq!(reflector.ask(&other), list);
    let mut own = item("a", 3);
    own.identity.uid = "of the other".into();
    let outcomes = reflector.page(page(5, vec![own])).unwrap();
    assert_eq!(
        outcomes,
        [Outcome::Gone(key("b")), Outcome::Put(key("a"), 3)]
    );
    assert_eq!(reflector.watermark(), Some((5, &other)));
}

#[test]
fn a_cluster_that_does_not_say_who_it_is_is_the_one_that_it_was() {
    let mut reflector = listed();
    assert_eq!(reflector.ask(&Arc::default()), Ask::Watch { after: 10 });
    assert_eq!(reflector.ask(&origin()), Ask::Watch { after: 10 });
}

#[test]
fn what_cannot_be_read_keeps_what_was_read_before() {
    let mut reflector = listed();
    let unreadable = |name, version| Item {
        object: None,
        ..item(name, version)
    };
    reflector.ask(&origin());
    let outcomes = reflector.event(Event::Put(unreadable("a", 11))).unwrap();
    assert_eq!(outcomes, []);
    expired(&mut reflector);
    reflector.ask(&origin());
    let outcomes = reflector.page(page(12, vec![unreadable("a", 11), item("b", 4)]));
    assert_eq!(outcomes.unwrap(), []);
}

#[test]
fn a_watch_that_ends_as_it_should_is_asked_for_again_at_once_and_a_short_one_is_not() {
    let mut reflector = listed();
    let now = Instant::now();
    reflector.ask(&origin());
    assert_eq!(reflector.ended(2 * SHORT, now, 1.0), Duration::ZERO);
    reflector.ask(&origin());
    assert!(reflector.ended(SHORT / 2, now, 1.0) > Duration::ZERO);
    reflector.ask(&origin());
    reflector.event(Event::Put(item("a", 12))).unwrap();
    assert_eq!(reflector.ended(SHORT / 2, now, 1.0), Duration::ZERO);
}

#[test]
fn what_happens_before_a_streamed_list_ends_counts() {
    let mut reflector = Reflector::new(Known::default());
    assert_eq!(reflector.ask(&origin()), Ask::Stream);
    let put = |name, version| Event::Put(item(name, version));
    assert_eq!(
        reflector.event(put("a", 1)).unwrap(),
        [Outcome::Put(key("a"), 1)]
    );
    let gone = Event::Gone(key("a"), item("a", 7).identity);
    assert_eq!(reflector.event(gone).unwrap(), [Outcome::Gone(key("a"))]);
    assert_eq!(reflector.watermark(), None);
    let end = Event::Bookmark {
        version: 9,
        ends_list: true,
    };
    assert_eq!(reflector.event(end).unwrap(), []);
    assert_eq!(reflector.watermark(), Some((9, &origin())));
    // Older than the end of the list: a repetition.
    assert_eq!(reflector.event(put("b", 8)).unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The server forgets, hangs up, answers from the past and streams lists or not; objects come and go meanwhile.
    #[test]
    fn what_is_held_becomes_what_the_server_has_and_nothing_that_stays_is_taken_away(
        steps in prop::collection::vec(model::step(), 1..60),
        streams in any::<bool>(),
    ) {
        let mut server = Server::new(streams);
        let mut client = Client::default();
        for step in steps {
            match step {
                Step::Put(name) => server.put(name),
                Step::Delete(name) => server.delete(name),
                Step::Compact => server.compact(),
                Step::Serve(fault) => client.turn(&server, fault)?,
            }
        }
        for _ in 0..6 {
            client.turn(&server, model::Fault::None)?;
        }
        prop_assert_eq!(client.held, server.objects());
    }
}
