//! The filters of a route, parsed once so that requests only apply them.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, uri::PathAndQuery};
use meshlite_snapshot::{Filter, HeaderChange, Redirect, Rewrite};

use super::build::Refused;

/// What a route changes.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    pub(crate) request: Vec<HeaderEdits>,
    pub(crate) response: Vec<HeaderEdits>,
    pub(crate) rewrite: Option<RewriteTo>,
    /// Answers instead of an upstream.
    pub(crate) action: Option<Action>,
}

/// An answer that needs no upstream.
#[derive(Debug)]
pub(crate) enum Action {
    Respond(StatusCode),
    Redirect(RedirectTo),
}

/// Where a redirect points; absent parts are the request's own.
#[derive(Debug)]
pub(crate) struct RedirectTo {
    pub(crate) status: StatusCode,
    pub(crate) scheme: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) path: Option<RewriteTo>,
}

/// A new host or path.
#[derive(Debug)]
pub(crate) struct RewriteTo {
    pub(crate) host: Option<HeaderValue>,
    path: Option<PathRewrite>,
}

#[derive(Debug)]
enum PathRewrite {
    Full(String),
    /// Without its trailing slash.
    Prefix(String),
}

/// Header changes: remove, then set, then add.
#[derive(Debug)]
pub(crate) struct HeaderEdits {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
}

// === impl Filters ===

impl Filters {
    pub(super) fn new(route: &meshlite_snapshot::Route) -> Result<Self, Refused> {
        let mut filters = Self::default();
        let invalid = |what: &str| Refused::Invalid(format!("{}: {what}", route.owner));
        for filter in &route.filters {
            match filter {
                Filter::RequestHeaders(change) => filters.request.push(
                    HeaderEdits::new(change)
                        .ok_or_else(|| invalid("a header change is not valid"))?,
                ),
                Filter::ResponseHeaders(change) => filters.response.push(
                    HeaderEdits::new(change)
                        .ok_or_else(|| invalid("a header change is not valid"))?,
                ),
                Filter::Rewrite(rewrite) => {
                    let rewrite = RewriteTo::new(rewrite);
                    filters.rewrite =
                        Some(rewrite.ok_or_else(|| invalid("a rewrite is not valid"))?);
                }
                Filter::Redirect(redirect) => {
                    let redirect = RedirectTo::new(redirect);
                    let redirect = redirect.ok_or_else(|| invalid("a redirect is not valid"))?;
                    filters.action.get_or_insert(Action::Redirect(redirect));
                }
                Filter::Respond(status) => {
                    let status = StatusCode::from_u16(*status).ok();
                    let status = status.filter(|status| !status.is_informational());
                    let status = status.ok_or_else(|| invalid("a status is not one"))?;
                    filters.action.get_or_insert(Action::Respond(status));
                }
                Filter::Mirror(_) => {
                    let message = format!("{}: mirroring is not served yet", route.owner);
                    return Err(Refused::Unsupported(message));
                }
            }
        }
        Ok(filters)
    }
}

// === impl RedirectTo ===

impl RedirectTo {
    fn new(redirect: &Redirect) -> Option<Self> {
        let path = match &redirect.path {
            Some(path) => Some(RewriteTo::new(path)?),
            None => None,
        };
        let scheme = redirect.scheme.clone();
        if scheme
            .as_ref()
            .is_some_and(|scheme| scheme != "http" && scheme != "https")
        {
            return None;
        }
        let host = redirect.host.clone();
        if host
            .as_ref()
            .is_some_and(|host| host.parse::<http::uri::Authority>().is_err())
        {
            return None;
        }
        let status = StatusCode::from_u16(redirect.status).ok()?;
        status.is_redirection().then_some(Self {
            status,
            scheme,
            host,
            port: redirect.port,
            path,
        })
    }
}

// === impl RewriteTo ===

impl RewriteTo {
    fn new(rewrite: &Rewrite) -> Option<Self> {
        let is_path = |path: &String| path.starts_with('/') && path.parse::<PathAndQuery>().is_ok();
        let host = match &rewrite.host {
            Some(host) => Some(HeaderValue::from_str(host).ok()?),
            None => None,
        };
        let path = match (&rewrite.full_path, &rewrite.prefix) {
            (Some(full), _) if is_path(full) => Some(PathRewrite::Full(full.clone())),
            (None, Some(prefix)) if prefix.is_empty() || is_path(prefix) => Some(
                PathRewrite::Prefix(prefix.strip_suffix('/').unwrap_or(prefix).to_owned()),
            ),
            (None, None) => None,
            (Some(_), _) | (None, Some(_)) => return None,
        };
        Some(Self { host, path })
    }

    /// The new path for one whose first `matched` bytes the route matched; none where it stays.
    pub(crate) fn path(&self, path: &str, matched: usize) -> Option<String> {
        match self.path.as_ref()? {
            PathRewrite::Full(full) => Some(full.clone()),
            PathRewrite::Prefix(prefix) => {
                let rest = path.get(matched..).unwrap_or_default();
                let path = format!("{prefix}{rest}");
                Some(if path.is_empty() {
                    "/".to_owned()
                } else {
                    path
                })
            }
        }
    }
}

// === impl HeaderEdits ===

impl HeaderEdits {
    fn new(change: &HeaderChange) -> Option<Self> {
        let name = |name: &String| HeaderName::from_bytes(name.as_bytes()).ok();
        let pairs = |pairs: &[(String, String)]| -> Option<Vec<_>> {
            let parse = |(key, value): &(String, String)| {
                Some((name(key)?, HeaderValue::from_str(value).ok()?))
            };
            pairs.iter().map(parse).collect()
        };
        Some(Self {
            remove: change.remove.iter().map(name).collect::<Option<_>>()?,
            set: pairs(&change.set)?,
            add: pairs(&change.add)?,
        })
    }

    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(prefix: &str, path: &str, matched: usize) -> String {
        let rewrite = Rewrite {
            prefix: Some(prefix.into()),
            ..Rewrite::default()
        };
        RewriteTo::new(&rewrite)
            .unwrap()
            .path(path, matched)
            .unwrap()
    }

    #[test]
    fn a_rewritten_prefix_keeps_the_rest_of_the_path() {
        assert_eq!(rewritten("/xyz", "/foo/bar", 4), "/xyz/bar");
        assert_eq!(rewritten("/xyz/", "/foo/bar", 4), "/xyz/bar");
        assert_eq!(rewritten("/xyz", "/foo", 4), "/xyz");
        assert_eq!(rewritten("/", "/foo/bar", 4), "/bar");
        assert_eq!(rewritten("/", "/foo", 4), "/");
        assert_eq!(rewritten("/xyz", "/bar", 0), "/xyz/bar");
    }

    #[test]
    fn header_edits_remove_then_set_then_add() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let edits = HeaderEdits::new(&HeaderChange {
            set: vec![pair("x-set", "new")],
            add: vec![pair("x-set", "more"), pair("x-gone", "back")],
            remove: vec!["X-Gone".into()],
        });
        let mut headers = HeaderMap::new();
        headers.insert("x-set", HeaderValue::from_static("old"));
        headers.insert("x-gone", HeaderValue::from_static("old"));
        edits.unwrap().apply(&mut headers);
        let all = |name: &str| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(all("x-set"), ["new", "more"]);
        assert_eq!(all("x-gone"), ["back"]);
    }
}
