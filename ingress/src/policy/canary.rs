//! Which requests go to other backends than the rest: by header, then cookie, then weight, as ingress-nginx decides.

use http::{HeaderName, HeaderValue, request::Parts};
use meshlite_snapshot::CanaryMatch;
use regex::bytes::Regex;

use super::template::cookie;
use crate::table::{Shares, pattern};

/// Backends for some of a route's requests.
#[derive(Debug)]
pub(crate) struct Canary {
    pub(crate) shares: Shares,
    header: Option<(HeaderName, Values)>,
    cookie: Option<Box<str>>,
    weight: u32,
    total: u32,
}

/// The values of a header that decide.
#[derive(Debug)]
enum Values {
    AlwaysNever,
    Exact(HeaderValue),
    Regex(Regex),
}

impl Canary {
    /// The error is for people.
    pub(crate) fn new(canary: &meshlite_snapshot::Canary, shares: Shares) -> Result<Self, String> {
        let header = match &canary.header {
            None => None,
            Some(header) => {
                let name = HeaderName::from_bytes(header.name.as_bytes());
                let name = name.map_err(|_invalid| "a canary's header is not one".to_owned())?;
                let values = match &header.values {
                    CanaryMatch::AlwaysNever => Values::AlwaysNever,
                    CanaryMatch::Exact(value) => Values::Exact(
                        HeaderValue::from_str(value)
                            .map_err(|_invalid| "a canary's header value is not one".to_owned())?,
                    ),
                    CanaryMatch::Regex(expression) => Values::Regex(pattern::bytes(expression)?),
                };
                Some((name, values))
            }
        };
        Ok(Self {
            shares,
            header,
            cookie: canary.cookie.as_deref().map(Into::into),
            weight: canary.weight,
            total: canary.total.max(1),
        })
    }

    /// Whether it takes a request. `random` gives a number below the one that it is told.
    pub(crate) fn takes(&self, request: &Parts, random: impl FnOnce(u32) -> u32) -> bool {
        let decided = self.by_header(request).or_else(|| self.by_cookie(request));
        decided.unwrap_or_else(|| self.weight > 0 && random(self.total) < self.weight)
    }

    fn by_header(&self, request: &Parts) -> Option<bool> {
        let (name, values) = self.header.as_ref()?;
        let value = request.headers.get(name)?;
        match values {
            Values::AlwaysNever => always_or_never(value.as_bytes()),
            Values::Exact(wanted) => (value == wanted).then_some(true),
            Values::Regex(regex) => regex.is_match(value.as_bytes()).then_some(true),
        }
    }

    fn by_cookie(&self, request: &Parts) -> Option<bool> {
        always_or_never(cookie(request, self.cookie.as_deref()?)?.as_bytes())
    }
}

fn always_or_never(value: &[u8]) -> Option<bool> {
    match value {
        b"always" => Some(true),
        b"never" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use meshlite_snapshot::CanaryHeader;
    use proptest::prelude::*;

    use super::*;

    fn mk_canary(values: CanaryMatch, weight: u32) -> Canary {
        let canary = meshlite_snapshot::Canary {
            backends: vec![],
            header: Some(CanaryHeader {
                name: "x-canary".into(),
                values,
            }),
            cookie: Some("canary".into()),
            weight,
            total: 100,
        };
        Canary::new(&canary, Shares::default()).unwrap()
    }

    fn request(header: &str, cookie: &str) -> Parts {
        let mut request = Request::get("/");
        if !header.is_empty() {
            request = request.header("x-canary", header);
        }
        let request = request.header("cookie", format!("a=b; canary={cookie}"));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_header_decides_then_the_cookie_then_the_weight() {
        let canary = mk_canary(CanaryMatch::AlwaysNever, 10);
        for (header, cookie, random, expected) in [
            ("always", "never", 99, true),
            ("never", "always", 0, false),
            ("perhaps", "always", 99, true),
            ("", "never", 0, false),
            ("", "perhaps", 9, true),
            ("", "perhaps", 10, false),
        ] {
            let takes = canary.takes(&request(header, cookie), |_| random);
            assert_eq!(takes, expected, "{header} {cookie} {random}");
        }
    }

    #[test]
    fn a_value_of_its_own_takes_and_any_other_decides_nothing() {
        let exact = mk_canary(CanaryMatch::Exact("blue".into()), 0);
        assert!(exact.takes(&request("blue", "never"), |_| 0));
        assert!(!exact.takes(&request("always", "never"), |_| 0));
        assert!(exact.takes(&request("never", "always"), |_| 0));
        let regex = mk_canary(CanaryMatch::Regex("^(blue|green)-[0-9]+$".into()), 0);
        assert!(regex.takes(&request("green-7", ""), |_| 0));
        assert!(!regex.takes(&request("green-", ""), |_| 0));
    }

    proptest! {
        #[test]
        fn by_weight_it_takes_its_share_of_all_tickets(weight in 0_u32..=100) {
            let canary = mk_canary(CanaryMatch::AlwaysNever, weight);
            let request = request("", "");
            let takes = (0..100).filter(|&ticket| canary.takes(&request, |_| ticket));
            prop_assert_eq!(u32::try_from(takes.count()).unwrap(), weight);
        }
    }
}
