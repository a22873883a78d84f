//! Makes the routes of one host, each with what its Ingress asks for.

use std::{collections::BTreeMap, sync::Arc};

use meshlite_snapshot::{
    Canary, ClientAuth, Filter, HostMatch, ObjectRef, PathMatch, Policy, Redirect, Rewrite, Route,
    RoutePath, RouteTimeouts, Substitution, WeightedCluster,
};

use super::{HostTable, shown};
use crate::{
    ObjectKey,
    ingress::{
        annotations::{Https, PERMANENT},
        backend::Backend,
        read::{PathRule, Request},
    },
    report::Findings,
};

type Winner<'a> = (&'a Request, &'a PathRule);
/// A path as it is written.
type Written<'a> = (PathMatch, &'a str);

/// Makes the routes of one host.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    host: &'a HostMatch,
    is_regex: bool,
    has_tls: bool,
    /// Those of routes without a canary, which are alike for all of an Ingress.
    policies: BTreeMap<&'a ObjectKey, Option<Arc<Policy>>>,
    canaries: BTreeMap<Written<'a>, Canary>,
    /// The path whose route does something else.
    replaced: Option<Written<'a>>,
    table: HostTable,
}

/// The table of a host that redirects to another.
pub(super) fn redirecting(request: &Request, to: &str) -> HostTable {
    let mut route = bare(request, prefix("/"));
    route
        .filters
        .push(redirect(&format!("$scheme://{to}$request_uri"), PERMANENT));
    HostTable {
        routes: vec![route],
        ..HostTable::default()
    }
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        host: &'a HostMatch,
        is_regex: bool,
        requests: &[&Request],
        client_auth: Option<ClientAuth>,
    ) -> Self {
        Self {
            host,
            is_regex,
            has_tls: requests.iter().any(|request| request.tls.covers(host)),
            policies: BTreeMap::new(),
            canaries: BTreeMap::new(),
            replaced: None,
            table: HostTable {
                client_auth,
                ..HostTable::default()
            },
        }
    }

    /// Gives canaries to the routes with their paths, one to each.
    pub(super) fn attach(
        &mut self,
        canaries: &[&'a Request],
        winners: &[Winner<'a>],
        findings: &mut Findings,
    ) {
        for request in canaries {
            let Some(canary) = &request.asked.canary else {
                continue;
            };
            for rule in request.hosts.get(self.host).into_iter().flatten() {
                let path = written(rule);
                let main = winners.iter().find(|(_, main)| written(main) == path);
                let problem = match main {
                    None => Some(("NoMainIngress", "no Ingress that is not a canary has")),
                    Some(_) if self.canaries.contains_key(&path) => {
                        Some(("Conflict", "an older Ingress is the canary of"))
                    }
                    Some((main, _)) => {
                        let backend = rule.backend.as_ref();
                        let target = backend.and_then(|target| match &main.asked.upstream {
                            Some(upstream) => target.with(upstream),
                            None => Some(target.clone()),
                        });
                        let canary = Canary {
                            backends: self.backends(&target),
                            header: canary.header.clone(),
                            cookie: canary.cookie.clone(),
                            weight: canary.weight,
                            total: canary.total,
                        };
                        self.canaries.insert(path, canary);
                        None
                    }
                };
                if let Some((reason, problem)) = problem {
                    let message = format!(
                        "{problem} the path {:?} of {} with this path type; this one gets no requests",
                        rule.path.value,
                        shown(self.host)
                    );
                    let mut about = findings.about("Ingress", request.key());
                    about.error(rule.field(), reason, message);
                }
            }
        }
    }

    /// Redirects `/` where the Ingress that serves it asks for that.
    pub(super) fn app_root(&mut self, winners: &[Winner<'a>]) {
        let serving = winners.iter().find(|(_, rule)| rule.path.value == "/");
        let Some((request, rule)) = serving else {
            return;
        };
        if let Some(root) = &request.asked.app_root
            && !self.is_closed(request)
        {
            let exact = RoutePath {
                kind: PathMatch::Exact,
                value: "/".to_owned(),
            };
            if rule.path == exact && !self.is_regex {
                self.replaced = Some(written(rule));
            }
            let mut route = bare(request, exact);
            route
                .filters
                .push(redirect(&format!("$scheme://$http_host{root}"), 302));
            route.policy = self.policy(request);
            self.table.routes.push(route);
        }
    }

    /// The route of a rule.
    pub(super) fn rule(&mut self, request: &'a Request, rule: &'a PathRule) {
        let key = written(rule);
        if self.replaced == Some(key) {
            return;
        }
        let mut path = rule.path.clone();
        if self.is_regex {
            path.kind = PathMatch::RegexIgnoreCase;
        }
        let mut route = self.route(request, path, &rule.backend);
        if self.is_closed(request) {
            self.table.routes.push(route);
            return;
        }
        if let Some((_, target)) = &request.asked.rewriting.target
            && *target != rule.path.value
        {
            route.filters.push(Filter::Rewrite(Rewrite {
                regex: Some(Substitution {
                    pattern: rule.path.value.clone(),
                    with: target.clone(),
                    ignore_case: true,
                }),
                ..Rewrite::default()
            }));
        }
        if let Some(canary) = self.canaries.remove(&key) {
            let mut policy = route.policy.as_deref().cloned().unwrap_or_default();
            policy.canaries.push(canary);
            route.policy = Some(Arc::new(policy));
        }
        self.table.routes.push(route);
    }

    /// The route of what no rule is for.
    pub(super) fn default_backend(&mut self, request: &'a Request, path: RoutePath, to: &Backend) {
        let mut route = self.route(request, path, to);
        route.fallback = *self.host == HostMatch::Any;
        self.table.routes.push(route);
    }

    pub(super) fn finish(mut self) -> HostTable {
        for (rank, route) in (0..).zip(&mut self.table.routes) {
            route.rank = rank;
        }
        self.table
    }

    fn route(&mut self, request: &'a Request, path: RoutePath, to: &Backend) -> Route {
        let mut route = bare(request, path);
        if self.is_closed(request) {
            route.filters.push(Filter::Respond(503));
            return route;
        }
        let asked = &request.asked;
        route.filters.clone_from(&asked.filters);
        route.timeouts = asked.timeouts;
        route.policy = self.policy(request);
        route.backends = self.backends(to);
        let named = asked.targets.iter().map(|(_, target)| target.clone());
        self.table.targets.extend(named);
        route
    }

    /// Whether what protects its routes cannot hold.
    fn is_closed(&self, request: &Request) -> bool {
        let asked = &request.asked;
        asked.is_closed
            || (asked.client_auth.is_some() && asked.client_auth != self.table.client_auth)
    }

    fn policy(&mut self, request: &'a Request) -> Option<Arc<Policy>> {
        let made = self.policies.entry(request.key()).or_insert_with(|| {
            let mut policy = request.asked.policy.clone();
            let is_sent_to_https = match request.asked.https {
                Https::Never => false,
                Https::WithTls => self.has_tls,
                Https::Always => true,
            };
            policy.https_redirect = is_sent_to_https.then_some(PERMANENT);
            (policy != Policy::default()).then(|| Arc::new(policy))
        });
        made.clone()
    }

    fn backends(&mut self, backend: &Backend) -> Vec<WeightedCluster> {
        let Some(target) = backend else {
            return vec![];
        };
        self.table.targets.insert(target.clone());
        vec![WeightedCluster {
            cluster: target.name.clone(),
            weight: 1,
        }]
    }
}

fn written(rule: &PathRule) -> Written<'_> {
    (rule.path.kind, &rule.path.value)
}

fn prefix(path: &str) -> RoutePath {
    RoutePath {
        kind: PathMatch::Prefix,
        value: path.to_owned(),
    }
}

fn redirect(location: &str, status: u16) -> Filter {
    Filter::Redirect(Redirect {
        location: Some(location.to_owned()),
        status,
        ..Redirect::default()
    })
}

/// A route that does nothing yet.
fn bare(request: &Request, path: RoutePath) -> Route {
    Route {
        owner: ObjectRef::new("Ingress", &*request.key().namespace, &*request.key().name),
        rank: 0,
        fallback: false,
        path,
        method: None,
        headers: vec![],
        query: vec![],
        filters: vec![],
        backends: vec![],
        timeouts: RouteTimeouts::default(),
        policy: None,
    }
}
