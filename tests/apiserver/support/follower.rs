//! A data plane that installs everything it is told to, and notes what that was.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard},
};

use meshlite_proto::{
    connect::Security,
    subscribe::{ClientConfig, Commit, RejectReason, SessionStatus, Subscription, subscribe},
    v1,
};
use meshlite_snapshot::{Name, Resource, ResourceType, Service, Snapshot, Topic};
use meshlite_tests::apiserver::eventually;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a follower did so far.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// What is installed.
    pub(crate) snapshot: Snapshot,
    /// What was installed after each commit, the last one too.
    pub(crate) history: Vec<Snapshot>,
    /// Everything that was ever taken away, as `Topic name`.
    pub(crate) removals: Vec<String>,
}

/// A client of one or more replicas.
pub(crate) struct Follower {
    noted: Arc<Mutex<Noted>>,
    status: watch::Receiver<SessionStatus>,
    paused: watch::Sender<bool>,
    _ends: DropGuard,
}

impl Follower {
    /// Why a picky one does not take a Service.
    pub(crate) const REFUSAL: &str = "this node takes everything but that";

    /// A node that follows these URLs without TLS.
    pub(crate) fn node(name: &str, urls: &[String]) -> Self {
        let config = plaintext(name, urls, v1::Role::L4Node, &Topic::NODE);
        Self::new(config, None)
    }

    /// An ingress that follows these URLs without TLS.
    pub(crate) fn ingress(name: &str, urls: &[String]) -> Self {
        let config = plaintext(name, urls, v1::Role::Ingress, &Topic::INGRESS);
        Self::new(config, None)
    }

    /// A node that cannot take the Service of this name.
    pub(crate) fn picky(name: &str, urls: &[String], refused: &str) -> Self {
        let config = plaintext(name, urls, v1::Role::L4Node, &Topic::NODE);
        Self::new(config, Some(Name::new(refused).unwrap()))
    }

    pub(crate) fn new(config: ClientConfig, refused: Option<Name>) -> Self {
        let stop = CancellationToken::new();
        let subscription = subscribe(config, stop.clone());
        let status = subscription.status();
        let noted = Arc::new(Mutex::new(Noted::default()));
        let (paused, is_paused) = watch::channel(false);
        tokio::spawn(follow(subscription, Arc::clone(&noted), refused, is_paused));
        Self {
            noted,
            status,
            paused,
            _ends: stop.drop_guard(),
        }
    }

    /// What it did so far.
    pub(crate) fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap()
    }

    /// Where its subscription stands.
    pub(crate) fn status(&self) -> SessionStatus {
        self.status.borrow().clone()
    }

    /// The digests of what is installed, by topic.
    pub(crate) fn digests(&self) -> BTreeMap<String, String> {
        let status = self.status();
        let digests = status.digests.iter();
        digests
            .map(|d| (d.topic.to_string(), d.digest.to_string()))
            .collect()
    }

    /// Takes commits, but installs none until it is resumed.
    pub(crate) fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Goes on.
    pub(crate) fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Waits until what it holds is as wanted; what is not is said by the closure.
    pub(crate) async fn holds<T, E: Display>(
        &self,
        what: &str,
        wanted: impl Fn(&Noted) -> Result<T, E>,
    ) -> T {
        eventually(what, async || {
            wanted(&self.noted()).map_err(|nearest| {
                let status = self.status();
                format!("{nearest}; {status:?}")
            })
        })
        .await
    }

    /// Waits until it holds a Service that is as wanted.
    pub(crate) async fn service(&self, name: &str, wanted: impl Fn(&Service) -> bool) {
        self.holds(
            &format!("{name} is served as wanted"),
            |noted| match noted.service(name) {
                Some(service) if wanted(&service) => Ok(()),
                Some(service) => Err(format!("{service:?}")),
                None => Err("it is not there".to_owned()),
            },
        )
        .await;
    }

    /// Waits until a resource is there, or is not.
    pub(crate) async fn has(&self, kind: ResourceType, name: &str, there: bool) {
        let says = if there { "is there" } else { "is gone" };
        self.holds(&format!("{kind} {name} {says}"), |noted| {
            if noted.get(kind, name).is_some() == there {
                Ok(())
            } else {
                Err(format!("{:?}", noted.names(kind)))
            }
        })
        .await;
    }

    /// Waits until the addresses of a Service's endpoints that are ready are these, in order.
    pub(crate) async fn ready_endpoints(&self, service: &str, wanted: &[&str]) {
        let what = format!("{wanted:?} are the ready endpoints of {service}");
        self.holds(&what, |noted| {
            let ready = noted.ready_endpoints(service);
            if ready == wanted {
                Ok(())
            } else {
                Err(format!("{ready:?}"))
            }
        })
        .await;
    }
}

impl Noted {
    /// A resource that is installed.
    pub(crate) fn get(&self, kind: ResourceType, name: &str) -> Option<Resource> {
        self.snapshot.get(kind, &Name::new(name).unwrap())
    }

    /// A Service that is installed.
    pub(crate) fn service(&self, name: &str) -> Option<Arc<Service>> {
        match self.get(ResourceType::Service, name) {
            Some(Resource::Service(service)) => Some(service),
            _ => None,
        }
    }

    /// The names of what is installed of a type.
    pub(crate) fn names(&self, kind: ResourceType) -> Vec<String> {
        let all = self.snapshot.of_type(kind);
        all.map(|(name, _)| name.to_string()).collect()
    }

    /// The addresses of the endpoints of `namespace/name` that are ready, in order.
    pub(crate) fn ready_endpoints(&self, service: &str) -> Vec<String> {
        let (namespace, name) = service.split_once('/').unwrap();
        let groups = self.snapshot.endpoint_groups_of(namespace, name);
        let mut addresses: Vec<_> = groups
            .flat_map(|(_, group)| group.endpoints.clone())
            .filter(|endpoint| endpoint.ready)
            .map(|endpoint| endpoint.address.to_string())
            .collect();
        addresses.sort();
        addresses
    }
}

fn plaintext(name: &str, urls: &[String], role: v1::Role, topics: &[Topic]) -> ClientConfig {
    ClientConfig {
        endpoints: urls.to_vec(),
        identity: v1::ClientIdentity {
            node_name: name.to_owned(),
            ..v1::ClientIdentity::default()
        },
        role,
        topics: topics.to_vec(),
        security: Security::Plaintext,
        cache: None,
    }
}

async fn follow(
    mut subscription: Subscription,
    noted: Arc<Mutex<Noted>>,
    refused: Option<Name>,
    mut paused: watch::Receiver<bool>,
) {
    while let Some(mut commit) = subscription.next().await {
        if paused.wait_for(|paused| !*paused).await.is_err() {
            return;
        }
        if let Some(refused) = &refused {
            refuse(&mut commit, refused);
        }
        {
            let mut noted = noted.lock().unwrap();
            noted.snapshot = commit.snapshot().clone();
            noted.history.push(commit.snapshot().clone());
            let removed = commit.changes().iter().filter(|change| change.removed);
            let removed = removed.map(|change| format!("{} {}", change.topic, change.name));
            noted.removals.extend(removed);
        }
        commit.acknowledge();
    }
}

fn refuse(commit: &mut Commit, refused: &Name) {
    let changes = commit.changes().iter().filter(|change| !change.removed);
    let is_refused =
        |topic: Topic, name: &Name| topic.kind == ResourceType::Service && name == refused;
    let Some(topic) = changes
        .filter(|change| is_refused(change.topic, &change.name))
        .map(|change| change.topic)
        .next()
    else {
        return;
    };
    let why = Follower::REFUSAL.to_owned();
    commit.reject(topic, refused, RejectReason::Unsupported, why);
}
