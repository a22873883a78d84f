//! What scripts of other origins may do (`enable-cors`, `cors-*`).

use meshlite_snapshot::Cors;

use super::{headers, reference, written::Written};

const METHODS: [&str; 6] = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"];
const HEADERS: [&str; 9] = [
    "DNT",
    "Keep-Alive",
    "User-Agent",
    "X-Requested-With",
    "If-Modified-Since",
    "Cache-Control",
    "Content-Type",
    "Range",
    "Authorization",
];
const MAX_AGE_SECONDS: u32 = 1_728_000;

pub(super) fn read(written: &mut Written<'_, '_>) -> Option<Cors> {
    if !written.flag("enable-cors")? {
        return None;
    }
    let allow_origins = origins(written)?;
    let or_default = |found: Vec<String>, default: &[&str]| {
        if found.is_empty() {
            default.iter().map(|name| (*name).to_owned()).collect()
        } else {
            found
        }
    };
    let methods = headers::names(written, "cors-allow-methods");
    let allowed = headers::names(written, "cors-allow-headers");
    Some(Cors {
        allow_origins,
        allow_methods: or_default(methods, &METHODS),
        allow_headers: or_default(allowed, &HEADERS),
        expose_headers: headers::names(written, "cors-expose-headers"),
        allow_credentials: written.flag("cors-allow-credentials").unwrap_or(true),
        max_age_seconds: written.number("cors-max-age").unwrap_or(MAX_AGE_SECONDS),
    })
}

/// None where something is written and nothing of it can be used: then no other origin may do anything.
fn origins(written: &mut Written<'_, '_>) -> Option<Vec<String>> {
    let Some(value) = written.value("cors-allow-origin") else {
        return Some(vec!["*".to_owned()]);
    };
    let (good, bad): (Vec<_>, Vec<_>) = value.list().partition(|origin| is_origin(origin));
    for bad in bad {
        let problem = format!("holds {bad:?}, which is no origin: https://host[:port] or *");
        written.invalid(&value, &problem);
    }
    if good.contains(&"*") {
        return Some(vec!["*".to_owned()]);
    }
    (!good.is_empty()).then(|| good.into_iter().map(str::to_owned).collect())
}

fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let is_scheme = scheme
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let named = authority.strip_prefix("*.").unwrap_or(authority);
    let url = format!("http://{named}");
    !scheme.is_empty()
        && is_scheme
        && !named.contains(['/', '?', '#', '*', '$'])
        && reference::url(&url).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for good in [
            "*",
            "https://a.example.com",
            "http://a:8080",
            "https://*.a.com",
            "app://x",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "a.example.com",
            "https://",
            "https://a/b",
            "https://*",
            "https://a.*.com",
            "://a",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
