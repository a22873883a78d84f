//! Who may open a stream: rights, and bounds on how many and how often.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use meshlite_proto::v1;
use meshlite_snapshot::Topic;
use tokio::time::Instant;
use tonic::Status;

use super::hello::Accepted;
use crate::auth::Caller;

/// Streams of one caller for one node and role: one, and those that it lost and that this side has not noticed.
const PER_IDENTITY: usize = 4;
/// New streams in a second, and at once. A cluster of the largest size comes back within five seconds.
const RATE: f64 = 1000.0;

/// Why a call is refused, for the metric and for the caller.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: &'static str,
    pub(super) status: Status,
}

/// Counts streams. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission(Arc<Mutex<Counts>>);

/// A place among the streams of an identity, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Admission,
    identity: Identity,
}

#[derive(Debug, Default)]
struct Counts {
    streams: BTreeMap<Identity, usize>,
    bucket: Option<Tokens>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    caller: Arc<str>,
    node: String,
    role: i32,
}

/// What is left to be spent on new streams.
#[derive(Clone, Copy, Debug)]
struct Tokens {
    left: f64,
    at: Instant,
}

// === impl Refused ===

impl Refused {
    pub(super) fn denied(reason: &'static str, message: String) -> Self {
        Self {
            reason,
            status: Status::permission_denied(message),
        }
    }
}

/// Whether a caller may be what its Hello says.
pub(super) fn authorise(caller: &Caller, accepted: &Accepted) -> Result<(), Refused> {
    let is_allowed = match accepted.role {
        v1::Role::L4Node => caller.rights.node,
        v1::Role::Ingress => caller.rights.ingress,
        v1::Role::Unspecified => false,
    };
    if !is_allowed {
        let role = accepted.role.as_str_name();
        return Err(Refused::denied(
            "role",
            format!("{} may not subscribe with the role {role}", caller.name),
        ));
    }
    for topic in accepted.topics.iter() {
        if !may_have(accepted.role, topic) {
            let role = accepted.role.as_str_name();
            return Err(Refused::denied(
                "role",
                format!("a client with the role {role} may not subscribe to {topic}"),
            ));
        }
    }
    let claimed = &accepted.identity.node_name;
    match &caller.node {
        Some(node) if **node != **claimed => Err(Refused::denied(
            "node",
            format!(
                "{} has credentials of the node {node:?} and may not be {claimed:?}",
                caller.name
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Private keys and passwords go to those that need them, and to nobody else.
fn may_have(role: v1::Role, topic: Topic) -> bool {
    match role {
        v1::Role::Ingress => true,
        v1::Role::L4Node => !topic.kind.is_secret(),
        v1::Role::Unspecified => false,
    }
}

// === impl Admission ===

impl Admission {
    /// A new stream may be opened now.
    pub(super) fn arrive(&self, now: Instant) -> Result<(), Refused> {
        let mut counts = self.lock();
        let mut tokens = counts.bucket.unwrap_or(Tokens {
            left: RATE,
            at: now,
        });
        let earned = now.saturating_duration_since(tokens.at).as_secs_f64() * RATE;
        tokens = Tokens {
            left: (tokens.left + earned).min(RATE),
            at: now,
        };
        let may = tokens.left >= 1.0;
        if may {
            tokens.left -= 1.0;
        }
        counts.bucket = Some(tokens);
        if may {
            return Ok(());
        }
        let wait = Duration::from_millis(fastrand::u64(500..2000));
        Err(Refused {
            reason: "rate",
            status: Status::resource_exhausted(format!(
                "more than {RATE} clients connected within a second; try again in {} ms",
                wait.as_millis()
            )),
        })
    }

    /// Counts a stream in that is authorised.
    pub(super) fn enter(&self, caller: &Caller, accepted: &Accepted) -> Result<Admitted, Refused> {
        let identity = Identity {
            caller: Arc::clone(&caller.name),
            node: accepted.identity.node_name.clone(),
            role: accepted.role.into(),
        };
        let mut counts = self.lock();
        let streams = counts.streams.entry(identity.clone()).or_default();
        if *streams >= PER_IDENTITY && *caller != Caller::anyone() {
            return Err(Refused {
                reason: "too_many_streams",
                status: Status::resource_exhausted(format!(
                    "{} has {PER_IDENTITY} streams for the node {:?} already; try again when one has ended",
                    caller.name, identity.node
                )),
            });
        }
        *streams += 1;
        drop(counts);
        Ok(Admitted {
            admission: self.clone(),
            identity,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.lock();
        if let Some(streams) = counts.streams.get_mut(&self.identity) {
            *streams -= 1;
            if *streams == 0 {
                counts.streams.remove(&self.identity);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use meshlite_snapshot::ResourceType;
    use tonic::Code;

    use super::*;
    use crate::{auth::Rights, testing::mk_hello};

    fn mk_accepted(role: v1::Role) -> Accepted {
        let topics = match role {
            v1::Role::Ingress => &Topic::INGRESS[..],
            _ => &Topic::NODE[..],
        };
        Accepted::new(mk_hello(role, topics)).unwrap()
    }

    fn mk_caller(node: Option<&str>) -> Caller {
        Caller {
            name: "system:serviceaccount:meshlite:meshlite-node".into(),
            rights: Rights {
                node: true,
                ..Rights::default()
            },
            node: node.map(Into::into),
            expires: None,
        }
    }

    #[test]
    fn a_node_may_not_be_an_ingress_nor_another_node() {
        let node = mk_accepted(v1::Role::L4Node);
        assert!(authorise(&mk_caller(None), &node).is_ok());
        assert!(authorise(&mk_caller(Some("node-a")), &node).is_ok());
        let refused = authorise(&mk_caller(Some("node-b")), &node).unwrap_err();
        assert_eq!(refused.reason, "node");
        assert!(refused.status.message().contains("node-b"), "{refused:?}");
        let ingress = mk_accepted(v1::Role::Ingress);
        let refused = authorise(&mk_caller(None), &ingress).unwrap_err();
        assert_eq!(refused.reason, "role");
        assert_eq!(refused.status.code(), Code::PermissionDenied);
        assert!(refused.status.message().ends_with("the role INGRESS"));
    }

    #[test]
    fn only_an_ingress_may_have_private_keys_and_passwords() {
        for kind in [ResourceType::TlsSecret, ResourceType::Credential] {
            let anyone = Caller::anyone();
            let asked = |role| Accepted::new(mk_hello(role, &[Topic::all(kind)])).unwrap();
            let refused = authorise(&anyone, &asked(v1::Role::L4Node)).unwrap_err();
            assert_eq!(refused.reason, "role");
            assert_eq!(refused.status.code(), Code::PermissionDenied);
            assert!(refused.status.message().ends_with(kind.as_str()));
            assert!(authorise(&anyone, &asked(v1::Role::Ingress)).is_ok());
        }
    }

    #[test]
    fn one_identity_has_few_streams_and_gets_another_when_one_ends() {
        let admission = Admission::default();
        let (caller, node) = (mk_caller(None), mk_accepted(v1::Role::L4Node));
        let enter = || admission.enter(&caller, &node);
        let mut streams: Vec<_> = (0..PER_IDENTITY).map(|_| enter().unwrap()).collect();
        let refused = enter().unwrap_err();
        assert_eq!(refused.reason, "too_many_streams");
        assert_eq!(refused.status.code(), Code::ResourceExhausted);
        streams.pop();
        streams.push(enter().unwrap());
        // Where nobody says who they are, nobody is counted against another.
        let anyone = Caller::anyone();
        let all: Vec<_> = (0..20).map(|_| admission.enter(&anyone, &node)).collect();
        assert!(all.iter().all(Result::is_ok));
        drop((all, streams));
        assert!(admission.lock().streams.is_empty());
    }

    #[test]
    fn more_streams_than_the_rate_allows_are_told_to_come_back() {
        let admission = Admission::default();
        let start = Instant::now();
        for _ in 0..1000 {
            admission.arrive(start).unwrap();
        }
        let refused = admission.arrive(start).unwrap_err();
        assert_eq!(refused.reason, "rate");
        assert!(refused.status.message().contains("try again"));
        let later = start + Duration::from_millis(100);
        for _ in 0..99 {
            admission.arrive(later).unwrap();
        }
    }
}
