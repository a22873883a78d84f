//! Where requests go: listeners, hosts, paths and clusters, built off the path and swapped whole.

mod build;
mod cluster;
mod credential;
mod filters;
mod forwarding;
mod hosts;
mod paths;
pub(crate) mod pattern;
mod places;
mod route;
mod row;
mod sharded;
mod shares;
mod testing;

use std::{cell::RefCell, sync::Arc, time::Duration};

use http::{HeaderValue, request};
use meshlite_snapshot::{Name, RouteTable};

pub(crate) use self::{
    build::{Builder, Refused, Rejection},
    cluster::{Cluster, Endpoints},
    credential::Credential,
    filters::{Action, Filters, RedirectTo},
    forwarding::{Forwarding, Retry},
    hosts::HostIndex,
    paths::HostAuth,
    pattern::Groups,
    places::{ClusterId, CredentialId, Places},
    route::Route,
    shares::Shares,
    testing::Lookup,
};
use self::{paths::PathIndex, row::Row};
use crate::{certificates::ListenerTls, metrics::ListenerMetrics};

/// Everything that one request is looked up in. Immutable.
#[derive(Debug, Default)]
pub(crate) struct Table {
    listeners: Row<Arc<ListenerTable>>,
    clusters: Row<Arc<Cluster>>,
    credentials: Row<Arc<Credential>>,
}

/// A listener's place in every [`Table`], for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListenerId(usize);

/// What one listener serves.
#[derive(Debug)]
pub(crate) struct ListenerTable {
    pub(crate) name: Name,
    /// The port that clients connect to, as they are told.
    pub(crate) port: u16,
    pub(crate) port_value: HeaderValue,
    /// Present where the listener speaks HTTPS.
    pub(crate) tls: Option<ListenerTls>,
    pub(crate) metrics: Arc<ListenerMetrics>,
    hosts: Arc<HostIndex<Arc<PathIndex>>>,
    /// Some host has a rule for the certificates of its clients.
    asks_certificates: bool,
}

/// How long the parts of an exchange may take, where the route says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) connect: Option<Duration>,
    pub(crate) request: Option<Duration>,
    pub(crate) response: Option<Duration>,
    pub(crate) idle: Option<Duration>,
}

impl Timeouts {
    /// Where a route says nothing.
    pub(crate) const DEFAULT: Self = Self {
        connect: None,
        request: None,
        response: None,
        idle: None,
    };
}

// === impl Table ===

impl Table {
    pub(crate) fn listener(&self, id: ListenerId) -> Option<&Arc<ListenerTable>> {
        self.listeners.get(id.0)
    }

    pub(crate) fn listener_named(&self, name: &Name) -> Option<&ListenerTable> {
        let mut listeners = self.listeners.iter();
        listeners
            .find(|listener| listener.name == *name)
            .map(AsRef::as_ref)
    }

    pub(crate) fn cluster(&self, id: ClusterId) -> Option<&Arc<Cluster>> {
        self.clusters.get(id.0)
    }

    pub(crate) fn credential(&self, id: CredentialId) -> Option<&Arc<Credential>> {
        self.credentials.get(id.0)
    }
}

// === impl ListenerTable ===

impl ListenerTable {
    /// The route of a request: of the most specific host, else a fallback route of a less specific one.
    ///
    /// `host` is lower-case and has neither port nor trailing dot; the request's path is normalised.
    // A function of its own in the program too, where `tests/bench/l7` counts its instructions.
    #[inline(never)]
    pub(crate) fn route(&self, host: &str, request: &request::Parts) -> Option<&Arc<Route>> {
        let path = request.uri.path();
        let mut is_most_specific = true;
        self.hosts.find_map(host, |paths| {
            let serves_all = std::mem::replace(&mut is_most_specific, false);
            paths.find(path, |route| {
                (serves_all || route.fallback) && route.holds(request)
            })
        })
    }

    /// Whether some host has a rule for the certificates of its clients.
    pub(crate) fn asks_certificates(&self) -> bool {
        self.asks_certificates
    }

    /// What the certificates of clients are judged by that ask for this host.
    pub(crate) fn client_auth(&self, host: &str) -> Option<&HostAuth> {
        self.hosts.find_map(host, Some)?.client_auth()
    }

    /// What the route of a request was made from, with its host's table. Routes of the path that do not hold are told.
    pub(crate) fn explain(
        &self,
        host: &str,
        request: &request::Parts,
        mut passed_over: impl FnMut(&meshlite_snapshot::Route),
    ) -> Option<(&RouteTable, &meshlite_snapshot::Route)> {
        let path = request.uri.path();
        let mut is_most_specific = true;
        self.hosts.find_map(host, |paths| {
            let serves_all = std::mem::replace(&mut is_most_specific, false);
            let failed = RefCell::new(Vec::new());
            let found = paths.find(path, |route| {
                let holds = (serves_all || route.fallback) && route.holds(request);
                if !holds {
                    failed.borrow_mut().push(route.position);
                }
                holds
            });
            let (table, found) = (paths.source(), found.map(|route| route.position));
            for position in failed.into_inner() {
                table
                    .routes
                    .get(position)
                    .into_iter()
                    .for_each(&mut passed_over);
            }
            Some((table, table.routes.get(found?)?))
        })
    }
}
