//! What a route's filters and policy would do to a request, in words.

use std::net::IpAddr;

use meshlite_snapshot::{Access, Filter, Limits, Policy, Route};

/// Phases and what they would do, in order.
pub(super) fn steps(route: &Route, is_tls: bool, client: IpAddr) -> Vec<(&'static str, String)> {
    let mut steps = Vec::new();
    let policy = route.policy.as_deref();
    for filter in &route.filters {
        match filter {
            Filter::Redirect(to) => {
                steps.push(("redirect", format!("answered with {}", to.status)));
            }
            Filter::Respond(status) => steps.push(("respond", format!("answered with {status}"))),
            Filter::RequestHeaders(_)
            | Filter::ResponseHeaders(_)
            | Filter::Rewrite(_)
            | Filter::Mirror(_) => {}
        }
    }
    if let Some(policy) = policy {
        of_policy(policy, is_tls, client, &mut steps);
    }
    for filter in &route.filters {
        match filter {
            Filter::Rewrite(to) => {
                let regex = to.regex.as_ref().map(|regex| &regex.with);
                let path = regex.or(to.full_path.as_ref()).or(to.prefix.as_ref());
                let path = path.map(|path| format!("path to {path}"));
                let host = to.host.as_ref().map(|host| format!("host to {host}"));
                let both: Vec<_> = host.into_iter().chain(path).collect();
                steps.push(("rewrite", both.join(", ")));
            }
            Filter::Mirror(to) => steps.push(("mirror", format!("a copy to {}", to.cluster))),
            Filter::RequestHeaders(_) => steps.push(("headers", "of the request change".into())),
            Filter::ResponseHeaders(_) => steps.push(("headers", "of the response change".into())),
            Filter::Redirect(_) | Filter::Respond(_) => {}
        }
    }
    steps
}

fn of_policy(
    policy: &Policy,
    is_tls: bool,
    client: IpAddr,
    steps: &mut Vec<(&'static str, String)>,
) {
    if let Some(cors) = &policy.cors {
        let origins = cors.allow_origins.join(", ");
        steps.push((
            "cors",
            format!("preflights are answered here, for {origins}"),
        ));
    }
    if let Some(status) = policy.https_redirect
        && !is_tls
    {
        steps.push(("redirect", format!("to https with {status}")));
    }
    limits(&policy.limits, client, steps);
    access(&policy.access, client, steps);
    for canary in &policy.canaries {
        let header = canary
            .header
            .as_ref()
            .map(|header| format!("header {}", header.name));
        let cookie = canary
            .cookie
            .as_ref()
            .map(|cookie| format!("cookie {cookie}"));
        let weight = format!("{} of {}", canary.weight, canary.total);
        let by: Vec<_> = header.into_iter().chain(cookie).chain([weight]).collect();
        let to: Vec<_> = canary
            .backends
            .iter()
            .map(|to| to.cluster.to_string())
            .collect();
        steps.push(("canary", format!("{} by {}", to.join(", "), by.join(", "))));
    }
    if let Some(pages) = &policy.error_pages {
        let says = format!("{:?} have the page of {}", pages.statuses, pages.cluster);
        steps.push(("errors", says));
    }
}

fn limits(limits: &Limits, client: IpAddr, steps: &mut Vec<(&'static str, String)>) {
    if limits.exempt.iter().any(|net| net.contains(&client)) {
        steps.push(("limits", format!("none for {client}")));
    } else {
        for rate in &limits.rates {
            let says = format!(
                "{} requests in {} s for each client, {} at once",
                rate.requests, rate.per_seconds, rate.burst
            );
            steps.push(("limits", says));
        }
        if let Some(most) = limits.concurrent_requests {
            steps.push((
                "limits",
                format!("{most} requests under way for each client"),
            ));
        }
    }
    if let Some(most) = limits.body_bytes.filter(|most| *most > 0) {
        steps.push((
            "limits",
            format!("a body of at most {most} bytes, else 413"),
        ));
    }
}

fn access(access: &Access, client: IpAddr, steps: &mut Vec<(&'static str, String)>) {
    let contains = |nets: &[ipnet::IpNet]| nets.iter().any(|net| net.contains(&client));
    if contains(&access.deny) {
        steps.push(("access", format!("{client} is denied: 403")));
    } else if !access.allow.is_empty() {
        let says = if contains(&access.allow) {
            format!("{client} is allowed")
        } else {
            format!("{client} is not among those allowed: 403")
        };
        steps.push(("access", says));
    }
    let or = if access.satisfy_any {
        ", unless the address is allowed"
    } else {
        ""
    };
    if let Some(basic) = &access.basic {
        let says = format!("a password of {} is needed{or}, else 401", basic.users);
        steps.push(("access", says));
    }
    if let Some(external) = &access.external {
        steps.push(("access", format!("{} is asked{or}", external.url)));
    }
}
