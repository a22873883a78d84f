//! The other replicas: who they are, and which data planes are connected to them.
//!
//! ```text
//! EndpointSlices of our own Service ─> addresses ─> one connection each ─┬─> ListClients(local_only), kept for 2 s
//!                                                                        └─> ListLoads(local_only)
//! ```

mod link;

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use meshlite_compile::ObjectKey;
use meshlite_proto::{connect::Security, decode, v1};
use meshlite_snapshot::{EndpointGroup, Resource, ResourceType, Topic};
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::Instant,
};
use tonic::Status;
use tracing::warn;

pub(crate) use self::link::FORWARDED;

use self::link::{At, Link, LinkError};
use crate::{publish::Views, stream::Clients};

/// How long what other replicas said is believed.
const FRESH: Duration = Duration::from_secs(2);
/// The name of the port that replicas serve gRPC on; where there is none of this name, the first port counts.
const PORT: &str = "grpc";
/// More addresses than anybody runs replicas; the rest is not asked.
const MOST_REPLICAS: usize = 32;

/// All replicas, this one among them. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    own: Clients,
    replica: Arc<str>,
    others: Option<Arc<Others>>,
}

/// The data planes that are connected, as far as replicas answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Everybody {
    /// Sorted by node, id and replica.
    pub(crate) clients: Vec<v1::Client>,
    pub(crate) unreachable: Vec<v1::UnreachableReplica>,
}

/// What other replicas said, and which of them said nothing.
#[derive(Debug)]
pub(crate) struct Said<T> {
    pub(crate) answers: Vec<(SocketAddr, Vec<T>)>,
    /// Sorted by address.
    pub(crate) unreachable: Vec<v1::UnreachableReplica>,
}

struct Others {
    service: ObjectKey,
    views: Views,
    security: watch::Receiver<Security>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    links: BTreeMap<SocketAddr, Link>,
    asked: Option<Instant>,
    said: Everybody,
}

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Others")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl Peers {
    /// This replica only.
    pub(crate) fn none(own: Clients, replica: &str) -> Self {
        Self {
            own,
            replica: replica.into(),
            others: None,
        }
    }

    /// This replica, and those behind the other ready addresses of `service` in what is published. `security` is how this
    /// replica shows the others who it is, as of now.
    pub(crate) fn of(
        own: Clients,
        replica: &str,
        service: ObjectKey,
        views: Views,
        security: watch::Receiver<Security>,
    ) -> Self {
        let others = Others {
            service,
            views,
            security,
            known: Mutex::default(),
        };
        Self {
            own,
            replica: replica.into(),
            others: Some(Arc::new(others)),
        }
    }

    /// The name of this replica.
    pub(crate) fn replica(&self) -> &str {
        &self.replica
    }

    /// The clients of this replica.
    pub(crate) fn own(&self) -> Vec<v1::Client> {
        let mut clients = self.own.list();
        for client in &mut clients {
            client.replica = self.replica.to_string();
        }
        clients.sort_by(|a, b| key(a).cmp(&key(b)));
        clients
    }

    /// The clients of all replicas; those of others as of at most 2 s ago.
    pub(crate) async fn everybody(&self) -> Everybody {
        let mut everybody = match &self.others {
            Some(others) => others.clients().await,
            None => Everybody::default(),
        };
        everybody.clients.extend(self.own());
        everybody.clients.sort_by(|a, b| key(a).cmp(&key(b)));
        everybody
    }

    /// What was reported to the other replicas.
    pub(crate) async fn loads_of_others(&self) -> Said<v1::EndpointLoad> {
        match &self.others {
            Some(others) => {
                let mut known = others.known.lock().await;
                others.ask(&mut known, Link::loads).await
            }
            None => Said::default(),
        }
    }

    /// What the replica of this name says that its client lacks.
    pub(crate) async fn diff(
        &self,
        replica: &str,
        client: &str,
    ) -> Result<v1::DiffClientResponse, Status> {
        let unknown = || {
            Status::unavailable(format!(
                "the client is connected to the replica {replica:?}, which cannot be reached from here; ask it directly"
            ))
        };
        let others = self.others.as_ref().ok_or_else(unknown)?;
        let link = others.link(replica).await.ok_or_else(unknown)?;
        link.diff(client).await
    }
}

impl Others {
    async fn clients(&self) -> Everybody {
        let mut known = self.known.lock().await;
        if known.asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return known.said.clone();
        }
        let answered = self.ask(&mut known, Link::clients).await;
        let clients = answered
            .answers
            .into_iter()
            .flat_map(|(_, clients)| clients);
        let said = Everybody {
            clients: clients.collect(),
            unreachable: answered.unreachable,
        };
        known.asked = Some(Instant::now());
        if said.unreachable != known.said.unreachable {
            for replica in &said.unreachable {
                let (address, error) = (&replica.address, &replica.error);
                warn!(%address, %error, "another replica cannot be asked for its clients");
            }
        }
        known.said = said.clone();
        said
    }

    /// Asks all of them at the same time.
    async fn ask<T, A>(&self, known: &mut Known, question: fn(Link, At) -> A) -> Said<T>
    where
        T: Send + 'static,
        A: Future<Output = Result<(Link, Vec<T>), LinkError>> + Send + 'static,
    {
        let addresses = self.addresses();
        known.links.retain(|address, _| addresses.contains(address));
        let own_epoch: Arc<str> = self.epoch().into();
        let mut asking = JoinSet::new();
        for address in addresses {
            let link = known.links.remove(&address).unwrap_or_default();
            let at = At {
                address,
                security: self.security.borrow().clone(),
                own_epoch: Arc::clone(&own_epoch),
            };
            let answer = question(link, at);
            asking.spawn(async move { (address, answer.await) });
        }
        let mut said = Said::default();
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok((address, Ok((link, answer)))) => {
                    known.links.insert(address, link);
                    said.answers.push((address, answer));
                }
                Ok((address, Err(error))) => said.unreachable.push(unreachable(address, &error)),
                // Its address is asked again the next time.
                Err(_panicked) => {}
            }
        }
        said.unreachable.sort_by(|a, b| a.address.cmp(&b.address));
        said
    }

    async fn link(&self, replica: &str) -> Option<Link> {
        let known = self.known.lock().await;
        let mut links = known.links.values();
        links.find(|link| link.leads_to(replica)).cloned()
    }

    fn epoch(&self) -> String {
        let view = self.views.borrow();
        view.as_ref()
            .map_or_else(String::new, |view| view.epoch().to_owned())
    }

    /// The addresses that answer, of all EndpointSlices of the Service. Among them is our own.
    fn addresses(&self) -> Vec<SocketAddr> {
        let Some(view) = self.views.borrow().clone() else {
            return Vec::new();
        };
        let prefix = format!("{}/", self.service);
        let mut addresses: Vec<_> = view
            .entries(Topic::all(ResourceType::EndpointGroup))
            .skip_while(|(name, _)| name.as_str() < prefix.as_str())
            .take_while(|(name, _)| name.as_str().starts_with(&prefix))
            .filter_map(|(_, entry)| {
                let body = entry.body.bytes();
                match decode::body(ResourceType::EndpointGroup, &body).ok()? {
                    Resource::EndpointGroup(group) => Some(serving(&group)),
                    _ => None,
                }
            })
            .flatten()
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MOST_REPLICAS);
        addresses
    }
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self {
            answers: Vec::new(),
            unreachable: Vec::new(),
        }
    }
}

fn serving(group: &EndpointGroup) -> Vec<SocketAddr> {
    let named = group.ports.iter().find(|port| port.name == PORT);
    let port = named.or_else(|| group.ports.first());
    let Some(port) = port.and_then(|port| port.port) else {
        return Vec::new();
    };
    let serving = group.endpoints.iter().filter(|e| e.ready || e.serving);
    serving
        .map(|endpoint| SocketAddr::new(endpoint.address, port))
        .collect()
}

fn unreachable(address: SocketAddr, error: &LinkError) -> v1::UnreachableReplica {
    v1::UnreachableReplica {
        address: address.to_string(),
        error: error.to_string(),
    }
}

/// What clients are sorted by, and what a page of them begins after.
pub(crate) fn key(client: &v1::Client) -> (&str, &str, &str) {
    let identity = client.identity.as_ref();
    (
        identity.map_or("", |identity| &identity.node_name),
        identity.map_or("", |identity| &identity.id),
        &client.replica,
    )
}

#[cfg(test)]
mod tests;
