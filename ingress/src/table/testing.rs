//! Looks routes up without sockets, for tests and fuzzing.

use std::sync::Arc;

use http::Request;
use meshlite_snapshot::{HostMatch, Name, Route, RouteTable};

use super::{HostIndex, ListenerTable, Places, paths::PathIndex};
use crate::metrics::Metrics;

/// One listener's routes.
#[derive(Debug)]
pub(crate) struct Lookup {
    listener: ListenerTable,
    places: Places,
}

impl Lookup {
    /// None where a route is refused, or two tables are for one host.
    pub(crate) fn new(tables: &[(HostMatch, Vec<Route>)]) -> Option<Self> {
        let name = Name::new("meshlite/http").ok()?;
        let mut hosts = HostIndex::default();
        let mut places = Places::default();
        for (host, routes) in tables {
            let table = RouteTable {
                listeners: vec![name.clone()],
                host: host.clone(),
                routes: routes.clone(),
                client_auth: None,
            };
            let paths = PathIndex::new(&Arc::new(table), &mut places).ok()?;
            hosts.insert(host, Arc::new(paths)).ok()?;
        }
        let metrics = Metrics::new(1).listener(&name);
        let listener = ListenerTable {
            name,
            port: 80,
            port_value: 80.into(),
            tls: None,
            metrics,
            hosts: Arc::new(hosts),
            asks_certificates: false,
        };
        Some(Self { listener, places })
    }

    /// The cluster that a GET goes to.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<String> {
        let (request, ()) = Request::get(path).body(()).ok()?.into_parts();
        let id = self.listener.route(host, &request)?.shares.choose(|_| 0)?;
        Some(self.places.cluster_name(id)?.to_string())
    }
}
