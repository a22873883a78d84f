//! Filters of a route.

use meshlite_snapshot::{Filter, HeaderChange, Redirect, Rewrite, Substitution};

use super::{DecodeError, field, route};
use crate::v1;

pub(super) fn filter(from: v1::Filter) -> Result<Filter, DecodeError> {
    use v1::filter::Kind;
    match from.kind {
        Some(Kind::RequestHeaders(change)) => headers(change).map(Filter::RequestHeaders),
        Some(Kind::ResponseHeaders(change)) => headers(change).map(Filter::ResponseHeaders),
        Some(Kind::Redirect(to)) => redirect(to).map(Filter::Redirect),
        Some(Kind::Rewrite(to)) => Ok(Filter::Rewrite(rewrite(to))),
        Some(Kind::Mirror(to)) => route::weighted(&to).map(Filter::Mirror),
        Some(Kind::Respond(status)) => {
            field::number("respond", status, &(200..=599)).map(Filter::Respond)
        }
        // A route without one of its filters would do something else than was asked.
        None => Err(DecodeError::unsupported("kind", "the filter's kind")),
    }
}

pub(super) fn header(from: v1::Header) -> Result<(String, String), DecodeError> {
    Ok((field::not_empty("name", from.name)?, from.value))
}

fn headers(from: v1::HeaderChange) -> Result<HeaderChange, DecodeError> {
    Ok(HeaderChange {
        set: field::each("set", from.set, header)?,
        add: field::each("add", from.add, header)?,
        remove: field::each("remove", from.remove, |name| field::not_empty("name", name))?,
    })
}

fn redirect(from: v1::Redirect) -> Result<Redirect, DecodeError> {
    let status = match from.status {
        301 => 301,
        302 => 302,
        303 => 303,
        307 => 307,
        308 => 308,
        // A whole location may come with any status that has one.
        300..=399 if !from.location.is_empty() => {
            field::number("redirect.status", from.status, &(300..=399))?
        }
        other => {
            return Err(DecodeError::invalid(
                "redirect.status",
                format_args!("{other} is not a redirect"),
            ));
        }
    };
    if !matches!(from.scheme.as_str(), "" | "http" | "https") {
        let scheme = from.scheme;
        return Err(DecodeError::unsupported(
            "redirect.scheme",
            format_args!("{scheme:?}"),
        ));
    }
    Ok(Redirect {
        scheme: field::optional(from.scheme),
        host: field::optional(from.host),
        port: field::optional_port("redirect.port", from.port)?,
        path: from.path.map(rewrite),
        location: field::optional(from.location),
        status,
    })
}

fn rewrite(from: v1::Rewrite) -> Rewrite {
    Rewrite {
        host: from.host,
        full_path: from.full_path,
        prefix: from.prefix,
        regex: from.regex.map(|by| Substitution {
            pattern: by.pattern,
            with: by.with,
            ignore_case: by.ignore_case,
        }),
    }
}
