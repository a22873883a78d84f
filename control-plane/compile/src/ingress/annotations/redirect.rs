//! Redirects: to HTTPS, to other places, between a domain and its `www`; and other names of a host.

use meshlite_snapshot::{Filter, HostMatch, Redirect};

use super::{Asked, reference, written::Written};
use crate::{Settings, ingress::host};

/// When requests without TLS are sent to HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ingress) enum Https {
    /// Never.
    #[default]
    Never,
    /// On hosts that have TLS.
    WithTls,
    /// Always.
    Always,
}

/// What a host is that no rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ingress) enum Stand {
    /// Another name of the first host.
    Alias,
    /// It redirects to this host.
    RedirectTo(String),
}

/// The status of redirects that keep the method.
pub(in crate::ingress) const PERMANENT: u16 = 308;

pub(super) fn read(
    written: &mut Written<'_, '_>,
    settings: &Settings,
    hosts: &[HostMatch],
    asked: &mut Asked,
) {
    let forced = written.flag("force-ssl-redirect").unwrap_or_default();
    let with_tls = written
        .flag("ssl-redirect")
        .unwrap_or(settings.nginx_compat);
    asked.https = match (forced, with_tls) {
        (true, _) => Https::Always,
        (false, true) => Https::WithTls,
        (false, false) => Https::Never,
    };
    if let Some(to) = elsewhere(written) {
        asked.filters.push(Filter::Redirect(to));
    }
    asked.app_root = written.value("app-root").and_then(|root| {
        let is_good = root.text.starts_with('/') && reference::is_location(root.text);
        if !is_good {
            written.invalid(&root, "is not a path");
        }
        is_good.then(|| root.text.to_owned())
    });
    aliases(written, asked);
    if written.flag("from-to-www-redirect").unwrap_or_default() {
        for host in hosts {
            let HostMatch::Exact(name) = host else {
                continue;
            };
            let other = match name.strip_prefix("www.") {
                Some(bare) => bare.to_owned(),
                None => format!("www.{name}"),
            };
            let other = HostMatch::Exact(other);
            if !hosts.contains(&other) {
                asked.stands.insert(other, Stand::RedirectTo(name.clone()));
            }
        }
    }
}

/// The temporary one counts where both are written, as in ingress-nginx.
fn elsewhere(written: &mut Written<'_, '_>) -> Option<Redirect> {
    for (name, code, default) in [
        ("temporal-redirect", "temporal-redirect-code", 302),
        ("permanent-redirect", "permanent-redirect-code", 301),
    ] {
        let Some(to) = written.value(name) else {
            continue;
        };
        if !reference::is_location(to.text) {
            written.invalid(&to, "is not a URL");
            continue;
        }
        let status = written.number(code).map(u16::try_from);
        let status = match status {
            None => default,
            Some(Ok(status @ 300..=308)) => status,
            Some(_) => {
                if let Some(code) = written.value(code) {
                    written.invalid(&code, "is not a redirect: 300 to 308");
                }
                default
            }
        };
        return Some(Redirect {
            location: Some(to.text.to_owned()),
            status,
            ..Redirect::default()
        });
    }
    None
}

fn aliases(written: &mut Written<'_, '_>, asked: &mut Asked) {
    let Some(value) = written.value("server-alias") else {
        return;
    };
    for alias in value.list() {
        match host::host(alias) {
            Ok(alias @ (HostMatch::Exact(_) | HostMatch::OneLabel(_))) => {
                asked.stands.insert(alias, Stand::Alias);
            }
            _ if alias.starts_with('~') => {
                let problem = "is a regular expression, which hosts cannot be; write the names";
                written.unsupported(&value, problem);
            }
            _ => written.invalid(&value, &format!("holds {alias:?}, which is no host")),
        }
    }
}
