//! What the annotations of one Ingress ask for, family by family.

mod access;
mod canary;
mod cors;
mod errors;
mod external;
mod headers;
mod limits;
mod redirect;
mod reference;
mod retry;
mod rewrite;
mod secrets;
mod sticky;
mod tls;
mod upstream;
mod written;

use std::{collections::BTreeMap, sync::Arc};

use meshlite_snapshot::{ClientAuth, Filter, HostMatch, Name, Policy, RouteTimeouts};

use self::written::Written;
pub(super) use self::{
    canary::Canary,
    redirect::{Https, PERMANENT, Stand},
    rewrite::Rewriting,
    secrets::{Part, SecretPart},
    upstream::Upstream,
};
use super::backend::Target;
use crate::{ObjectKey, Settings, report::About};

/// What the annotations of one Ingress ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// An annotation that protects something is malformed or names what may not be named: nothing is served.
    pub(super) is_closed: bool,
    pub(super) timeouts: RouteTimeouts,
    /// Without canaries and without the redirect to HTTPS, which depend on the host.
    pub(super) policy: Policy,
    pub(super) https: Https,
    /// Changes and answers in the order in which they happen, without the rewriting of paths.
    pub(super) filters: Vec<Filter>,
    pub(super) rewriting: Rewriting,
    pub(super) app_root: Option<String>,
    pub(super) canary: Option<Canary>,
    pub(super) client_auth: Option<ClientAuth>,
    /// Some where requests do not go to the backends as they go for other Ingresses.
    pub(super) upstream: Option<Arc<Upstream>>,
    /// Services that annotations name, each with the annotation's path.
    pub(super) targets: Vec<(String, Target)>,
    /// Parts of Secrets that annotations name, each with the annotation's path.
    pub(super) secrets: Vec<(String, SecretPart)>,
    /// Further hosts: other names of its first host, and redirects between a domain and its `www`.
    pub(super) stands: BTreeMap<HostMatch, Stand>,
}

/// Reads all of them. `tls` are its hosts that have TLS, `hosts` those of its rules.
pub(super) fn read(
    key: &ObjectKey,
    annotations: Option<&BTreeMap<String, String>>,
    hosts: &[HostMatch],
    settings: &Settings,
    about: &mut About<'_>,
) -> Asked {
    let none = BTreeMap::new();
    let mut written = Written::new(key, annotations.unwrap_or(&none), about);
    let mut asked = Asked {
        canary: canary::read(&mut written),
        ..Asked::default()
    };
    // All else of a canary is that of the Ingress that it is a canary of.
    if asked.canary.is_some() {
        return asked;
    }
    access::read(&mut written, &mut asked);
    external::read(&mut written, &mut asked);
    tls::read(&mut written, &mut asked);
    limits::read(&mut written, settings, &mut asked);
    retry::read(&mut written, settings, &mut asked);
    redirect::read(&mut written, settings, hosts, &mut asked);
    headers::read(&mut written, &mut asked);
    rewrite::read(&mut written, &mut asked);
    errors::read(&mut written, &mut asked);
    asked.policy.cors = cors::read(&mut written);
    asked.upstream = upstream::read(&mut written, &mut asked);
    asked.is_closed = written.is_closed();
    asked
}

impl Asked {
    /// Names a Service that requests may go to.
    fn target(&mut self, field: String, target: Target) -> Name {
        let name = target.name.clone();
        self.targets.push((field, target));
        name
    }

    /// Names a part of a Secret.
    fn secret(&mut self, field: String, part: SecretPart) -> Name {
        let name = part.name.clone();
        self.secrets.push((field, part));
        name
    }

    /// Whether paths of its hosts may be regular expressions because of it.
    pub(super) const fn makes_some_regexes(&self) -> bool {
        self.rewriting.use_regex || self.rewriting.target.is_some()
    }

    /// Whether the paths of its hosts are regular expressions because of it. A rewriting to the path itself is none.
    pub(super) fn makes_regexes(&self, path: &str) -> bool {
        self.rewriting.use_regex
            || (self.rewriting.target.as_ref()).is_some_and(|(_, target)| target != path)
    }
}
