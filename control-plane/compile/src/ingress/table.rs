//! The routes of one host, from all Ingresses that speak of it.

mod maker;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

use meshlite_snapshot::{ClientAuth, HostMatch, PathMatch, Route, RoutePath};

use self::maker::Maker;
use super::{
    annotations::Stand,
    backend::{Backend, Target},
    read::{PathRule, Request},
    regex,
};
use crate::report::Findings;

/// What one host serves.
#[derive(Debug, Default)]
pub(super) struct HostTable {
    pub(super) routes: Vec<Route>,
    /// What routes send to.
    pub(super) targets: BTreeSet<Target>,
    pub(super) client_auth: Option<ClientAuth>,
}

/// The table of one host. Requests come oldest first.
///
/// Exact paths come before prefixes, then longer paths before shorter ones; of regular expressions the longer ones come
/// first, as in ingress-nginx.
pub(super) fn table(host: &HostMatch, requests: &[&Request], findings: &mut Findings) -> HostTable {
    let requests = speakers(host, requests, findings);
    if let Some(request) = requests.first()
        && let Some(Stand::RedirectTo(to)) = request.asked.stands.get(host)
    {
        return maker::redirecting(request, to);
    }
    let is_canary = |request: &&Request| request.asked.canary.is_some();
    let (canaries, requests): (Vec<_>, Vec<_>) = requests.into_iter().partition(is_canary);
    let client_auth = client_auth(host, &requests, findings);
    let mut winners = winners(host, &requests, findings);
    let is_regex = winners
        .iter()
        .any(|(request, rule)| request.asked.makes_regexes(&rule.path.value));
    if is_regex {
        winners.retain(|(request, rule)| is_expression(request, rule, findings));
        winners.sort_by_key(|(_, rule)| Reverse((rule.path.value.len(), &rule.path.value)));
    } else {
        winners.sort_by_key(|(_, rule)| {
            let RoutePath { kind, value } = &rule.path;
            (*kind != PathMatch::Exact, Reverse(value.len()), value)
        });
    }
    let mut maker = Maker::new(host, is_regex, &requests, client_auth);
    maker.attach(&canaries, &winners, findings);
    maker.app_root(&winners);
    for (request, rule) in &winners {
        maker.rule(request, rule);
    }
    let root = RoutePath {
        kind: PathMatch::Prefix,
        value: "/".to_owned(),
    };
    // A rule for every path leaves nothing to the default, save requests that fall back from another host.
    let any = *host == HostMatch::Any;
    let has_root = winners.iter().any(|(_, rule)| rule.path == root);
    if let Some((request, backend)) = default_backend(host, &requests, findings)
        && (any || !has_root)
    {
        maker.default_backend(request, root, backend);
    }
    maker.finish()
}

/// The Ingresses that speak of the host by a rule; where there are none, those that have it as another name.
fn speakers<'a>(
    host: &HostMatch,
    requests: &[&'a Request],
    findings: &mut Findings,
) -> Vec<&'a Request> {
    let stands = |request: &&&Request| request.asked.stands.contains_key(host);
    let (standing, named): (Vec<&Request>, Vec<&Request>) = requests.iter().partition(stands);
    let Some(first) = named.first() else {
        let stand = |request: &&Request| request.asked.stands.get(host).cloned();
        let oldest = standing.first().and_then(stand);
        let mut alike = standing;
        alike.retain(|request| stand(request) == oldest);
        return alike;
    };
    for request in standing {
        // A redirect between a domain and its www is for domains that are not served.
        if request.asked.stands.get(host) == Some(&Stand::Alias) {
            let message = format!("Ingress {} has rules for {}", first.key(), shown(host));
            let mut about = findings.about("Ingress", request.key());
            about.error("metadata.annotations", "Conflict", message);
        }
    }
    named
}

/// The certificates of clients are the oldest Ingress's that asks for any. Others that ask for something else are closed:
/// what they ask for does not hold.
fn client_auth(
    host: &HostMatch,
    requests: &[&Request],
    findings: &mut Findings,
) -> Option<ClientAuth> {
    let mut asking = requests.iter().filter_map(|request| {
        let auth = request.asked.client_auth.as_ref()?;
        Some((request, auth))
    });
    let (winner, chosen) = asking.next()?;
    for (request, _) in asking.filter(|(_, auth)| *auth != chosen) {
        let message = format!(
            "Ingress {} comes first, by age or else by name, and asks clients of {} for other certificates; \
             the routes answer 503 until both ask for the same",
            winner.key(),
            shown(host)
        );
        let mut about = findings.about("Ingress", request.key());
        about.error("metadata.annotations", "Conflict", message);
    }
    Some(chosen.clone())
}

fn is_expression(request: &Request, rule: &PathRule, findings: &mut Findings) -> bool {
    let mut about = findings.about("Ingress", request.key());
    let field = format!("{}.path", rule.field());
    if let Err(problem) = regex::check(&rule.path.value) {
        let message = format!("{:?} {problem}; it is left out", rule.path.value);
        about.error(field, "InvalidPath", message);
        return false;
    }
    if !request.asked.makes_some_regexes() && rule.path.value != "/" {
        let message = format!(
            "{:?} is a regular expression, without regard to case: another Ingress has use-regex or rewrite-target \
             for the host",
            rule.path.value
        );
        about.warning(field, "PathIsRegex", message);
    }
    true
}

/// Each path once: of two rules with the same one, the older Ingress's, or the first within an Ingress.
fn winners<'a>(
    host: &HostMatch,
    requests: &[&'a Request],
    findings: &mut Findings,
) -> Vec<(&'a Request, &'a PathRule)> {
    let mut winners: BTreeMap<(PathMatch, &str), (&Request, &PathRule)> = BTreeMap::new();
    for &request in requests {
        for rule in request.hosts.get(host).into_iter().flatten() {
            let RoutePath { kind, value } = &rule.path;
            match winners.entry((*kind, value)) {
                Entry::Vacant(entry) => {
                    entry.insert((request, rule));
                }
                Entry::Occupied(entry) => {
                    let (winner, first) = entry.get();
                    let message = if winner.key() == request.key() {
                        let first = first.field();
                        format!("{first} has the same path {value:?} of {}", shown(host))
                    } else {
                        format!(
                            "Ingress {} comes first, by age or else by name, and has the same path {value:?} of {}",
                            winner.key(),
                            shown(host)
                        )
                    };
                    findings.about("Ingress", request.key()).error(
                        rule.field(),
                        "Conflict",
                        message,
                    );
                }
            }
        }
    }
    winners.into_values().collect()
}

/// The default backend of this host: the oldest Ingress's that has one.
fn default_backend<'a>(
    host: &HostMatch,
    requests: &[&'a Request],
    findings: &mut Findings,
) -> Option<(&'a Request, &'a Backend)> {
    let mut having = requests.iter().filter_map(|&request| {
        let backend = request.default_backend.as_ref()?;
        Some((request, backend))
    });
    let (winner, chosen) = having.next()?;
    for (request, _) in having.filter(|(_, backend)| *backend != chosen) {
        findings.about("Ingress", request.key()).error(
            "spec.defaultBackend",
            "Conflict",
            format!(
                "Ingress {} comes first, by age or else by name, and has the default backend of {}",
                winner.key(),
                shown(host)
            ),
        );
    }
    Some((winner, chosen))
}

/// A host as a sentence names it.
pub(super) fn shown(host: &HostMatch) -> String {
    match host {
        HostMatch::Any => "all hosts".to_owned(),
        named => named.to_string(),
    }
}
