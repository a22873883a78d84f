//! What a client opens its stream with, checked: who it is, what it asks for, what it holds.

use std::{collections::BTreeMap, sync::Arc};

use meshlite_proto::{
    decode,
    encode::{self, MAX_CHUNK_BYTES},
    v1,
};
use meshlite_snapshot::{SetDigest, Topic};
use tonic::Status;

use crate::publish::{Held, TOPICS, TopicSet};

/// The smallest chunk that is worth a message.
const MIN_CHUNK_BYTES: usize = 1024;

/// The longest text in a Hello that is kept, in bytes: the longest name in Kubernetes.
const LONGEST_TEXT: usize = 253;
/// The most ingress classes of a client.
const MOST_CLASSES: usize = 64;

/// A client that asks for what there is; whether it may have that is decided later.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) identity: Arc<v1::ClientIdentity>,
    pub(super) role: v1::Role,
    pub(super) topics: TopicSet,
    pub(super) held: Held,
    pub(super) max_chunk: usize,
    /// It takes compressed commits.
    pub(super) zstd: bool,
}

impl Accepted {
    /// Checks the form of a Hello. Topics that only newer control planes know are left out.
    pub(super) fn new(hello: v1::Hello) -> Result<Self, Status> {
        let role = hello.role();
        let zstd = hello.accept.contains(&v1::Encoding::Zstd.into());
        let identity = identity(hello.client.unwrap_or_default())?;
        let cursor = hello.cursor.map(|cursor| (cursor.epoch, cursor.generation));
        if let Some((epoch, _)) = &cursor {
            short("Hello.cursor.epoch", epoch)?;
        }
        let held = held(&hello.subscriptions)?;
        let topics: TopicSet = held.keys().copied().collect();
        if topics.is_empty() {
            let asked = hello.subscriptions.first().and_then(|s| s.topic.clone());
            return Err(match asked {
                Some(unknown) => no_topic(&unknown),
                None => Status::invalid_argument("Hello.subscriptions is empty"),
            });
        }
        let max_chunk = match usize::try_from(hello.max_chunk_bytes) {
            Ok(0) | Err(_) => MAX_CHUNK_BYTES,
            Ok(bytes) if bytes < MIN_CHUNK_BYTES => {
                return Err(Status::invalid_argument(format!(
                    "Hello.max_chunk_bytes of {bytes} is less than {MIN_CHUNK_BYTES}"
                )));
            }
            Ok(bytes) => bytes.min(MAX_CHUNK_BYTES),
        };
        Ok(Self {
            identity: identity.into(),
            role,
            topics,
            held: Held {
                sets: held.into_iter().collect(),
                cursor,
            },
            max_chunk,
            zstd,
        })
    }
}

/// Who the client is. It is kept, logged and listed, so it must not be long.
fn identity(identity: v1::ClientIdentity) -> Result<v1::ClientIdentity, Status> {
    if identity.id.is_empty() {
        return Err(Status::invalid_argument("Hello.client.id is missing"));
    }
    let v1::ClientIdentity {
        id,
        node_name,
        zone,
        pod_name,
        build,
        ingress_classes,
    } = &identity;
    if ingress_classes.len() > MOST_CLASSES {
        return Err(Status::invalid_argument(format!(
            "Hello.client.ingress_classes has more than {MOST_CLASSES}"
        )));
    }
    for text in [id, node_name, zone, pod_name, build]
        .into_iter()
        .chain(ingress_classes)
    {
        short("Hello.client", text)?;
    }
    Ok(identity)
}

fn short(what: &str, text: &str) -> Result<(), Status> {
    if text.len() > LONGEST_TEXT {
        let length = text.len();
        return Err(Status::invalid_argument(format!(
            "{what}: a text of {length} bytes is longer than {LONGEST_TEXT}"
        )));
    }
    Ok(())
}

/// What is held of the topics that are known.
fn held(subscriptions: &[v1::Subscription]) -> Result<BTreeMap<Topic, SetDigest>, Status> {
    let mut held = BTreeMap::new();
    for subscription in subscriptions {
        let Some(topic) = subscription.topic.as_ref().and_then(known) else {
            continue;
        };
        let digest = match subscription.set_digest.as_str() {
            "" => SetDigest::default(),
            digest => decode::set_digest("set_digest", digest)
                .map_err(|error| Status::invalid_argument(format!("{topic}: {error}")))?,
        };
        held.insert(topic, digest);
    }
    Ok(held)
}

/// A topic that is published.
pub(super) fn topic(wire: &v1::Topic) -> Result<Topic, Status> {
    known(wire).ok_or_else(|| no_topic(wire))
}

fn known(wire: &v1::Topic) -> Option<Topic> {
    let topic = decode::topic(wire).ok();
    topic.filter(|topic| TOPICS.contains(topic))
}

fn no_topic(wire: &v1::Topic) -> Status {
    let all = TOPICS.map(|topic| shown(&encode::topic(topic))).join(", ");
    let asked = shown(wire);
    Status::invalid_argument(format!("there is no topic {asked}; there are {all}"))
}

/// A topic as it is written in a request: `TYPE`, or `TYPE/scope`.
fn shown(topic: &v1::Topic) -> String {
    let kind = match v1::ResourceType::try_from(topic.r#type) {
        Ok(kind) => kind.as_str_name().to_owned(),
        Err(_newer) => topic.r#type.to_string(),
    };
    match topic.scope.as_str() {
        "" => kind,
        scope => format!("{kind}/{scope:.40}"),
    }
}

#[cfg(test)]
mod tests {
    use meshlite_snapshot::ResourceType;
    use tonic::Code;

    use super::*;

    fn mk_hello(role: v1::Role, topics: &[Topic]) -> v1::Hello {
        let subscription = |topic: &Topic| v1::Subscription {
            topic: Some(encode::topic(*topic)),
            ..v1::Subscription::default()
        };
        v1::Hello {
            client: Some(v1::ClientIdentity {
                id: "one".into(),
                ..v1::ClientIdentity::default()
            }),
            role: role.into(),
            subscriptions: topics.iter().map(subscription).collect(),
            ..v1::Hello::default()
        }
    }

    #[test]
    fn topics_are_sorted_as_a_commit_is_and_named_once() {
        let services = Topic::all(ResourceType::Service);
        let namespaces = Topic::all(ResourceType::Namespace);
        let hello = mk_hello(v1::Role::L4Node, &[services, namespaces, services]);
        let topics: Vec<_> = Accepted::new(hello).unwrap().topics.iter().collect();
        assert_eq!(topics, [namespaces, services]);
    }

    #[test]
    fn a_topic_of_a_newer_client_is_left_out() {
        let mut hello = mk_hello(v1::Role::L4Node, &Topic::NODE);
        hello.subscriptions[0].topic = Some(v1::Topic {
            r#type: 77,
            scope: String::new(),
        });
        let accepted = Accepted::new(hello).unwrap();
        let topics: TopicSet = Topic::NODE[1..].iter().copied().collect();
        assert_eq!(accepted.topics, topics);
    }

    #[test]
    fn chunks_are_bounded_by_both_sides() {
        for (asked, granted) in [
            (0, Some(MAX_CHUNK_BYTES)),
            (4096, Some(4096)),
            (u32::MAX, Some(MAX_CHUNK_BYTES)),
            (7, None),
        ] {
            let mut hello = mk_hello(v1::Role::L4Node, &Topic::NODE);
            hello.max_chunk_bytes = asked;
            let max_chunk = Accepted::new(hello).ok().map(|accepted| accepted.max_chunk);
            assert_eq!(max_chunk, granted, "{asked}");
        }
    }

    #[test]
    fn a_client_does_not_make_the_server_keep_much() {
        type Change = fn(&mut v1::Hello);
        let changes: [Change; 3] = [
            |hello| hello.client.as_mut().unwrap().node_name = "n".repeat(254),
            |hello| hello.client.as_mut().unwrap().ingress_classes = vec!["c".into(); 65],
            |hello| {
                hello.cursor = Some(v1::Cursor {
                    epoch: "e".repeat(1 << 20),
                    generation: 1,
                });
            },
        ];
        for change in changes {
            let mut hello = mk_hello(v1::Role::L4Node, &Topic::NODE);
            change(&mut hello);
            let refused = Accepted::new(hello).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
            assert!(refused.message().len() < 200, "{refused}");
        }
    }

    #[test]
    fn what_is_no_topic_and_no_digest_is_told() {
        let mut hello = mk_hello(v1::Role::L4Node, &Topic::NODE);
        hello.subscriptions[0].set_digest = "010203".into();
        let refused = Accepted::new(hello).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let mut hello = mk_hello(v1::Role::L4Node, &Topic::NODE[..1]);
        hello.subscriptions[0].topic = Some(v1::Topic {
            r#type: v1::ResourceType::Service.into(),
            scope: "ingress".into(),
        });
        let refused = Accepted::new(hello).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert_eq!(
            refused.message(),
            "there is no topic SERVICE/ingress; there are NAMESPACE, NODE, SERVICE, ENDPOINT_GROUP, \
             ENDPOINT_GROUP/ingress, WEIGHTS, TLS_SECRET, CREDENTIAL, CLUSTER, ROUTE_TABLE, LISTENER"
        );
        assert!(Accepted::new(v1::Hello::default()).is_err());
    }
}
