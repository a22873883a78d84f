//! The filters of a route, parsed once so that requests only apply them.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, uri::PathAndQuery};
use meshlite_snapshot::{Filter, HeaderChange, Redirect, Rewrite};

use super::{build::Refused, pattern::Substitution};
use crate::{
    policy::Template,
    sanitise::{self, Malformed},
};

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
    /// The whole `Location` in place of the parts above.
    pub(crate) location: Option<Template>,
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
    Regex(Box<Substitution>),
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
                    filters.rewrite = Some(rewrite.map_err(|what| invalid(&what))?);
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
                // Where requests are sent to is not what they are changed to.
                Filter::Mirror(_) => {}
            }
        }
        Ok(filters)
    }
}

// === impl RedirectTo ===

impl RedirectTo {
    fn new(redirect: &Redirect) -> Option<Self> {
        let path = match &redirect.path {
            Some(path) => Some(RewriteTo::new(path).ok()?),
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
            location: redirect.location.as_deref().map(Template::new),
        })
    }
}

// === impl RewriteTo ===

impl RewriteTo {
    /// The error is for people.
    fn new(rewrite: &Rewrite) -> Result<Self, String> {
        let is_path = |path: &String| path.starts_with('/') && path.parse::<PathAndQuery>().is_ok();
        let host = rewrite
            .host
            .as_deref()
            .map(HeaderValue::from_str)
            .transpose();
        let path = match (&rewrite.regex, &rewrite.full_path, &rewrite.prefix) {
            (Some(regex), _, _) => {
                let made = Substitution::new(&regex.pattern, &regex.with, regex.ignore_case)?;
                Some(PathRewrite::Regex(Box::new(made)))
            }
            (None, Some(full), _) if is_path(full) => Some(PathRewrite::Full(full.clone())),
            (None, None, Some(prefix)) if prefix.is_empty() || is_path(prefix) => Some(
                PathRewrite::Prefix(prefix.strip_suffix('/').unwrap_or(prefix).to_owned()),
            ),
            (None, None, None) => None,
            (None, Some(path), _) | (None, None, Some(path)) => {
                return Err(format!("a path to rewrite to is not one: {path:?}"));
            }
        };
        Ok(Self {
            host: host.map_err(|_invalid| "a host to rewrite to is not one".to_owned())?,
            path,
        })
    }

    /// The new path, perhaps with a query, for one whose first `matched` bytes the route matched; none where it stays.
    ///
    /// It is normal again: parts that were harmless apart may make `..` together.
    pub(crate) fn path(&self, path: &str, matched: usize) -> Result<Option<String>, Malformed> {
        let Some(rewrite) = &self.path else {
            return Ok(None);
        };
        let path = match rewrite {
            PathRewrite::Full(full) => return Ok(Some(full.clone())),
            PathRewrite::Prefix(prefix) => {
                let rest = path.get(matched..).unwrap_or_default();
                let path = format!("{prefix}{rest}");
                if path.is_empty() {
                    "/".to_owned()
                } else {
                    path
                }
            }
            PathRewrite::Regex(substitution) => match substitution.apply(path) {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        sanitise::normal(path).map(Some)
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
    fn a_path_that_a_rewrite_put_together_is_normal_again() {
        let with = |with: &str| {
            let regex = meshlite_snapshot::Substitution {
                pattern: "/api(/|$)(.*)".into(),
                with: with.into(),
                ignore_case: true,
            };
            let rewrite = RewriteTo::new(&Rewrite {
                regex: Some(regex),
                ..Rewrite::default()
            });
            move |path: &str| rewrite.as_ref().unwrap().path(path, 0)
        };
        let keep = with("/$2");
        assert_eq!(keep("/API/a%2Fb"), Ok(Some("/a%2Fb".into())));
        assert_eq!(keep("/other"), Ok(None));
        assert_eq!(with("/x/.$2/y")("/api/."), Ok(Some("/y".into())));
        assert_eq!(with("/%$2")("/api/00"), Err(Malformed::Path));
        let query = with("/find?q=$2");
        assert_eq!(query("/api/a"), Ok(Some("/find?q=a".into())));
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
