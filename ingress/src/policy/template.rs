//! Text with variables of a request in it, as nginx names them: `https://login.example.com/?rd=$escaped_request_uri`.

use std::borrow::Cow;

use http::{HeaderName, header, request::Parts};

use crate::{
    pieces::{Piece, split},
    sanitise,
};

/// Text that is parsed once and filled for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Box<[Piece<Variable>]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Variable {
    Scheme,
    /// Without its port.
    Host,
    /// As the client wrote it.
    HttpHost,
    Method,
    RequestUri,
    EscapedRequestUri,
    Path,
    Args,
    /// `?` where there is a query.
    IsArgs,
    RemoteAddress,
    Header(HeaderName),
    Cookie(Box<str>),
    Argument(Box<str>),
}

/// What a request fills a template with. Host and path have been sanitised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) scheme: &'a str,
    pub(crate) client: std::net::IpAddr,
}

impl Template {
    /// A `$` that no known name follows is itself.
    pub(crate) fn new(text: &str) -> Self {
        Self(split(text, variable))
    }

    /// The text for one request.
    pub(crate) fn text(&self, filling: Filling<'_>) -> String {
        self.fill(filling, |value| value)
    }

    /// A URL for one request. Headers and cookies are escaped, so that they stay within their place.
    pub(crate) fn url(&self, filling: Filling<'_>) -> String {
        self.fill(filling, |value| escape(&value).into())
    }

    fn fill(&self, filling: Filling<'_>, free: fn(Cow<'_, str>) -> Cow<'_, str>) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Reference(variable @ (Variable::Header(_) | Variable::Cookie(_))) => {
                    filled.push_str(&free(variable.value(filling)));
                }
                Piece::Reference(variable) => filled.push_str(&variable.value(filling)),
            }
        }
        filled
    }
}

impl Variable {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "scheme" | "pass_access_scheme" => Self::Scheme,
            "host" | "best_http_host" | "server_name" => Self::Host,
            "http_host" => Self::HttpHost,
            "request_method" => Self::Method,
            "request_uri" => Self::RequestUri,
            "escaped_request_uri" => Self::EscapedRequestUri,
            "uri" => Self::Path,
            "args" | "query_string" => Self::Args,
            "is_args" => Self::IsArgs,
            "remote_addr" => Self::RemoteAddress,
            name => {
                if let Some(header) = name.strip_prefix("http_") {
                    let name = header.replace('_', "-");
                    Self::Header(HeaderName::from_bytes(name.as_bytes()).ok()?)
                } else if let Some(cookie) = name.strip_prefix("cookie_") {
                    Self::Cookie(cookie.into())
                } else {
                    Self::Argument(name.strip_prefix("arg_")?.into())
                }
            }
        })
    }

    fn value<'a>(&self, filling: Filling<'a>) -> Cow<'a, str> {
        let Filling {
            parts,
            scheme,
            client,
        } = filling;
        let host = parts.headers.get(header::HOST);
        let target = || {
            parts
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str())
        };
        let query = parts.uri.query().unwrap_or_default();
        match self {
            Self::Scheme => scheme.into(),
            Self::Host => host.map(sanitise::name_of).unwrap_or_default(),
            Self::HttpHost => host
                .and_then(|host| host.to_str().ok())
                .unwrap_or_default()
                .into(),
            Self::Method => parts.method.as_str().into(),
            Self::RequestUri => target().into(),
            Self::EscapedRequestUri => escape(target()).into(),
            Self::Path => parts.uri.path().into(),
            Self::Args => query.into(),
            Self::IsArgs => if parts.uri.query().is_some() { "?" } else { "" }.into(),
            Self::RemoteAddress => client.to_string().into(),
            Self::Header(name) => {
                let value = parts
                    .headers
                    .get(name)
                    .and_then(|value| value.to_str().ok());
                value.unwrap_or_default().into()
            }
            Self::Cookie(name) => cookie(parts, name).unwrap_or_default().into(),
            Self::Argument(name) => raw_argument(query, name).unwrap_or_default().into(),
        }
    }
}

/// The variable that this text starts with, and what follows.
fn variable(text: &str) -> Option<(Variable, &str)> {
    let rest = text.strip_prefix('$')?;
    if let Some((name, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return Some((Variable::parse(name)?, after));
    }
    let is_name = |next: char| next.is_ascii_alphanumeric() || next == '_';
    let end = rest.find(|next| !is_name(next)).unwrap_or(rest.len());
    let (name, after) = rest.split_at_checked(end)?;
    Some((Variable::parse(name)?, after))
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let values = parts.headers.get_all(header::COOKIE).iter();
    let mut pairs = values.flat_map(|value| value.to_str().unwrap_or_default().split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then(|| value.trim_matches('"'))
    })
}

/// A query parameter as it stands there.
fn raw_argument<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

/// Writes everything but unreserved characters as `%XX`.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(byte.into());
        } else {
            escaped.push('%');
            escaped.extend(sanitise::hex_of(byte));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str) -> String {
        let request = Request::get("/a%20b?x=1&y=a%26b")
            .header("host", "Shop.example.com:8080")
            .header("x-team", "red & blue")
            .header("cookie", "a=1; session=\"s3cret\"");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Template::new(text).url(Filling {
            parts: &parts,
            scheme: "https",
            client: [10, 0, 0, 1].into(),
        })
    }

    #[test]
    fn variables_stand_for_what_the_request_has() {
        for (text, expected) in [
            (
                "$scheme://$http_host$request_uri",
                "https://Shop.example.com:8080/a%20b?x=1&y=a%26b",
            ),
            (
                "https://x/?rd=$escaped_request_uri",
                "https://x/?rd=%2Fa%2520b%3Fx%3D1%26y%3Da%2526b",
            ),
            (
                "$host$uri$is_args$args",
                "shop.example.com/a%20b?x=1&y=a%26b",
            ),
            ("${request_method}x$remote_addr", "GETx10.0.0.1"),
            (
                "$http_x_team|$cookie_session|$arg_y|$arg_z",
                "red%20%26%20blue|s3cret|a%26b|",
            ),
            ("$$unknown ${scheme $", "$$unknown ${scheme $"),
        ] {
            assert_eq!(filled(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_variables_stays(text in "[^$]{0,20}") {
            prop_assert_eq!(filled(&text), text);
        }

        #[test]
        fn what_is_escaped_holds_no_separator(text in ".{0,20}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['/', '?', '&', '#', ' ', '\r', '\n', ':', '@']));
        }
    }
}
