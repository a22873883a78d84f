//! What ingress-nginx does that no annotation says, and that Meshlite does not do, or does too.

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress};
use meshlite_compile::ingress_annotations;
use meshlite_snapshot::{Name, PathMatch, Snapshot};

use super::review::{Row, Verdict, key};

/// What each of an Ingress's paths relies on, and its TLS.
pub(super) fn of(ingress: &Ingress, snapshot: &Snapshot, nginx_compat: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let Some(spec) = &ingress.spec else {
        return rows;
    };
    let mut add = |what: String, verdict, says: &str| {
        rows.push(Row {
            ingress: key(ingress).to_string(),
            what,
            value: String::new(),
            verdict,
            says: says.to_owned(),
        });
    };
    let says_so = ingress.metadata.annotations.iter().flatten();
    let says_so = says_so.filter_map(|(annotation, _)| ingress_annotations::find(annotation));
    let says_so = says_so.clone().any(|known| known.name == "ssl-redirect");
    let has_tls = spec.tls.as_ref().is_some_and(|tls| !tls.is_empty());
    if has_tls && !says_so && !nginx_compat {
        let says = "ingress-nginx sends plain requests to HTTPS with 308 where nothing is written, Meshlite serves them: \
                    write ssl-redirect: \"true\", or run the control plane with --nginx-compat";
        add("spec.tls".to_owned(), Verdict::Differs, says);
    }
    for (i, rule) in spec.rules.iter().flatten().enumerate() {
        let host = rule.host.as_deref().unwrap_or_default();
        let is_regex = is_regex(host, snapshot);
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        for (j, path) in paths.enumerate() {
            if let Some((verdict, says)) = of_path(path, is_regex) {
                add(
                    format!("spec.rules[{i}].http.paths[{j}].path"),
                    verdict,
                    says,
                );
            }
        }
    }
    rows
}

/// Whether the paths of a host are regular expressions.
fn is_regex(host: &str, snapshot: &Snapshot) -> bool {
    let host = if host.is_empty() { "*" } else { host };
    let table = Name::new(format!("meshlite/{host}")).ok();
    let table = table.and_then(|name| snapshot.route_tables.get(&name));
    let routes = table.iter().flat_map(|table| &table.routes);
    routes
        .clone()
        .any(|route| route.path.kind == PathMatch::RegexIgnoreCase)
}

fn of_path(path: &HTTPIngressPath, is_regex: bool) -> Option<(Verdict, &'static str)> {
    let written = path.path.as_deref().unwrap_or("/");
    if is_regex {
        let is_plain = written == "/";
        return (!is_plain).then_some((
            Verdict::Same,
            "a regular expression, without regard to case, from the start of the path on; it need not reach its end",
        ));
    }
    let ends_in_slash = written.len() > 1 && written.ends_with('/');
    match path.path_type.as_str() {
        "Exact" if ends_in_slash => Some((
            Verdict::Differs,
            "ingress-nginx answers the path without its last slash with a redirect (301) to it, Meshlite with 404: \
             add the path without it if it is asked for",
        )),
        "Prefix" if ends_in_slash => Some((
            Verdict::Differs,
            "ingress-nginx answers the path without its last slash with a redirect (301) to it, Meshlite serves it",
        )),
        "ImplementationSpecific" if written.len() > 1 && !ends_in_slash => Some((
            Verdict::Differs,
            "ingress-nginx serves every path that begins with these characters, Meshlite only whole path elements, as \
             with pathType Prefix: add those that are asked for",
        )),
        _ => None,
    }
}

/// What holds for all of them.
pub(super) fn notes(nginx_compat: bool) -> Vec<&'static str> {
    let mut notes = vec![
        "an Ingress is served where its class is --ingress-class (meshlite), or an IngressClass of its name has the \
         controller meshlite.io/ingress: make one named nginx to keep ingressClassName: nginx",
        "paths are matched as they are forwarded: `/./` and `/../` are resolved, `//` stays as it is, and \
         `%2F` and `%5C` are refused with 400 unless meshlite.io/allow-encoded-slashes is true",
        "where load-balance is not written, requests go to the less busy of two endpoints, and not to each in turn as in \
         ingress-nginx: write round_robin if that is what is wanted",
    ];
    if !nginx_compat {
        notes.push(
            "without --nginx-compat bodies of requests have no limit where proxy-body-size is not written (1 MiB in \
             ingress-nginx), and timeouts are Meshlite's own",
        );
    }
    notes
}
