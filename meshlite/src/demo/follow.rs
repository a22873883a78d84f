//! Says what an edit of the manifests changed, while the demo runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    time::Duration,
};

use meshlite_proto::v1::{GetServerStatusRequest, snapshot_status_client::SnapshotStatusClient};
use tonic::transport::Endpoint;

use crate::{
    get::{self, View},
    output,
};

/// How often the control plane is asked.
const INTERVAL: Duration = Duration::from_millis(500);

/// What is said of a snapshot.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    /// Ready endpoints by Service.
    services: BTreeMap<String, String>,
    /// Backends by host and path.
    routes: BTreeMap<String, String>,
    findings: BTreeSet<String>,
}

/// Prints what changes, until the output is closed.
pub(super) async fn follow(grpc: SocketAddr) -> anyhow::Result<Infallible> {
    let url = format!("http://{grpc}");
    let mut version = state(&url).await?;
    let mut before = Summary::of(&get::fetch(&url).await?);
    loop {
        tokio::time::sleep(INTERVAL).await;
        // A control plane that does not answer has logged why.
        let Ok(now) = state(&url).await else { continue };
        if now == version {
            continue;
        }
        let Ok(view) = get::fetch(&url).await else {
            continue;
        };
        let after = Summary::of(&view);
        for line in before.changes(&after) {
            output::line(&line)?;
        }
        (version, before) = (now, after);
    }
}

/// Changes whenever the snapshot or the findings do.
async fn state(url: &str) -> anyhow::Result<(String, u64, u64, u64)> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    let mut status = SnapshotStatusClient::new(channel);
    let status = status
        .get_server_status(GetServerStatusRequest {})
        .await?
        .into_inner();
    Ok((
        status.epoch,
        status.generation,
        status.errors,
        status.warnings,
    ))
}

// === impl Summary ===

impl Summary {
    fn of(view: &View) -> Self {
        let snapshot = &view.snapshot;
        let services = snapshot.services.iter().map(|(name, service)| {
            let endpoints = view.endpoints_of_service(&service.namespace, &service.name);
            (format!("Service {name}"), format!("{endpoints} ready"))
        });
        let routes = snapshot.route_tables.values().flat_map(|table| {
            table.routes.iter().map(move |route| {
                let backends = route
                    .backends
                    .iter()
                    .map(|backend| backend.cluster.to_string());
                let backends: Vec<_> = backends.collect();
                let to = if backends.is_empty() {
                    "503".to_owned()
                } else {
                    backends.join(",")
                };
                (format!("route {}{}", table.host, route.path.value), to)
            })
        });
        Self {
            services: services.collect(),
            routes: routes.collect(),
            findings: view.findings.iter().map(ToString::to_string).collect(),
        }
    }

    /// A line for each difference.
    fn changes(&self, after: &Self) -> Vec<String> {
        let mut lines = differences(&self.services, &after.services);
        lines.extend(differences(&self.routes, &after.routes));
        let new = after.findings.difference(&self.findings);
        lines.extend(new.map(|finding| format!("finding: {finding}")));
        let gone = self.findings.difference(&after.findings);
        lines.extend(gone.map(|finding| format!("no more: {finding}")));
        lines
    }
}

fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let difference = |name: &String| match (before.get(name), after.get(name)) {
        (None, Some(new)) => Some(format!("changed: {name} is new: {new}")),
        (Some(_), None) => Some(format!("changed: {name} is gone")),
        (Some(old), Some(new)) if old != new => Some(format!("changed: {name}: {old}, now {new}")),
        _ => None,
    };
    names.into_iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_summary(services: &[(&str, &str)], findings: &[&str]) -> Summary {
        let pair = |(name, ready): &(&str, &str)| ((*name).to_owned(), (*ready).to_owned());
        Summary {
            services: services.iter().map(pair).collect(),
            routes: BTreeMap::new(),
            findings: findings.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn an_edit_is_told_by_what_it_changed() {
        let before = mk_summary(
            &[
                ("Service default/db", "1/1 ready"),
                ("Service default/web", "3/3 ready"),
            ],
            &["web.yaml: old"],
        );
        let after = mk_summary(
            &[
                ("Service default/api", "2/2 ready"),
                ("Service default/web", "1/1 ready"),
            ],
            &["web.yaml: new"],
        );
        assert_eq!(
            before.changes(&after),
            [
                "changed: Service default/api is new: 2/2 ready",
                "changed: Service default/db is gone",
                "changed: Service default/web: 3/3 ready, now 1/1 ready",
                "finding: web.yaml: new",
                "no more: web.yaml: old",
            ]
        );
        assert!(after.changes(&after).is_empty());
    }
}
