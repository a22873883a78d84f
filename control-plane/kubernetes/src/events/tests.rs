//! What an Event says, and that it is said once.

use super::*;

fn notice() -> Notice {
    Notice {
        subject: Subject {
            kind: "Ingress".into(),
            namespace: "shop".into(),
            name: "web".into(),
            uid: "1234".into(),
        },
        reason: "Conflict".into(),
        about: "spec.rules[0]".into(),
        message: "spec.rules[0]: another Ingress comes first".into(),
    }
}

#[test]
fn the_same_notice_has_the_same_name_and_another_object_or_field_another() {
    let first = notice();
    let mut other_words = notice();
    other_words.message = "something else".into();
    assert_eq!(first.name(), other_words.name());
    let mut other_field = notice();
    other_field.about = "spec.rules[1]".into();
    assert_ne!(first.name(), other_field.name());
    let mut recreated = notice();
    recreated.subject.uid = "5678".into();
    assert_ne!(first.name(), recreated.name());
    assert!(first.name().starts_with("web."));
}

#[test]
fn a_long_name_and_a_long_message_are_cut_to_what_the_server_takes() {
    let mut long = notice();
    long.subject.name = "a".repeat(253);
    long.message = "é".repeat(5_000);
    assert!(long.name().len() <= 253);
    let event = long.event("replica", Timestamp::UNIX_EPOCH);
    assert_eq!(event.message.unwrap().chars().count(), LONGEST_MESSAGE);
    assert_eq!(event.involved_object.name.unwrap().len(), 253);
}

#[test]
fn an_event_of_a_cluster_scoped_object_is_in_the_default_namespace() {
    let mut class = notice();
    class.subject.kind = "IngressClass".into();
    class.subject.namespace = String::new();
    let event = class.event("replica", Timestamp::UNIX_EPOCH);
    assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(event.involved_object.namespace, None);
    assert_eq!(
        event.involved_object.api_version.as_deref(),
        Some("networking.k8s.io/v1")
    );
}
