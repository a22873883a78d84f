//! What comes over the wire, whole, cut and wrong.

use proptest::prelude::*;

use super::*;

fn read(line: &str) -> Result<Event<String>, Failure> {
    event(line, |text| Some(text.key.to_string()))
}

#[test]
fn the_bookmark_that_ends_a_streamed_list_is_told_from_others() {
    let bookmark = |annotations: &str| {
        let line = format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"Service","metadata":{{"resourceVersion":"12"{annotations}}}}}}}"#
        );
        match read(&line).unwrap() {
            Event::Bookmark { version, ends_list } => (version, ends_list),
            event => panic!("{event:?}"),
        }
    };
    assert_eq!(bookmark(""), (12, false));
    let end = r#","annotations":{"k8s.io/initial-events-end":"true"}"#;
    assert_eq!(bookmark(end), (12, true));
}

#[test]
fn a_version_that_is_forgotten_is_expired_as_an_event_and_as_an_answer() {
    let status =
        r#"{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}"#;
    let line = format!(r#"{{"type":"ERROR","object":{status}}}"#);
    assert_eq!(read(&line).unwrap_err(), Failure::Expired);
    assert_eq!(refusal(Some(StatusCode::GONE), status), Failure::Expired);
    assert_eq!(refusal(Some(StatusCode::GONE), "gone"), Failure::Expired);
}

#[test]
fn a_busy_server_says_how_long_to_leave_it_alone() {
    let status = r#"{"code":429,"message":"slow down","details":{"retryAfterSeconds":7}}"#;
    let Failure::Busy { text, rest } = refusal(Some(StatusCode::TOO_MANY_REQUESTS), status) else {
        panic!("{status}")
    };
    assert_eq!(rest, Duration::from_secs(7));
    assert!(text.contains("slow down"), "{text}");
}

#[test]
fn an_answer_that_cannot_be_read_is_not_repeated_in_the_message() {
    let line = r#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"1","name":7,"secret":"hunter2"}}}"#;
    let failure = read(line).unwrap_err().to_string();
    assert!(!failure.contains("hunter2"), "{failure}");
}

#[test]
fn a_page_says_where_the_next_one_begins() {
    let text = r#"{"metadata":{"resourceVersion":"9","continue":"abc"},
        "items":[{"metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"3"}}]}"#;
    let page = page(text, |text| Some(text.json.len())).unwrap();
    assert_eq!((page.version, page.token.as_deref()), (9, Some("abc")));
    assert_eq!(page.items[0].key, ObjectKey::new("n", "a"));
    assert_eq!(page.items[0].identity.version, 3);
}

proptest! {
    #[test]
    fn anything_that_a_server_sends_is_an_error_at_most(text in ".{0,200}") {
        drop(read(&text));
        drop(page(&text, |_| Some(())));
        refusal(None, &text);
    }
}

#[test]
fn an_empty_list_has_no_items_whether_it_says_so_or_says_nothing() {
    for items in ["[]", "null"] {
        let text = format!(r#"{{"metadata":{{"resourceVersion":"7"}},"items":{items}}}"#);
        let page = page(&text, |_| Some(())).unwrap();
        assert_eq!((page.version, page.items.len()), (7, 0), "{text}");
    }
}
