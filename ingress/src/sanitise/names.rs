//! Which headers a request has of those that every request is asked for: one walk over its names costs less than a look for each.

use http::{HeaderMap, HeaderName, header};

use crate::client;

/// Which of some headers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(u16);

impl Names {
    pub(crate) const CONNECTION: Self = Self(1);
    pub(crate) const CONTENT_LENGTH: Self = Self(1 << 1);
    pub(crate) const CONTENT_TYPE: Self = Self(1 << 2);
    pub(crate) const EXPECT: Self = Self(1 << 3);
    pub(crate) const TE: Self = Self(1 << 4);
    pub(crate) const TRANSFER_ENCODING: Self = Self(1 << 5);
    pub(crate) const UPGRADE: Self = Self(1 << 6);
    /// One that a message is forwarded without, besides Connection and what that names.
    pub(super) const HOP_BY_HOP: Self = Self(1 << 7);
    /// One that endpoints may take for another (`X_Real_IP`), for what only we say, or for a setting (`Proxy`), or that a
    /// client says to a proxy.
    pub(super) const CONFUSING: Self = Self(1 << 8);
    /// One that only a proxy that is believed may say.
    pub(crate) const CLAIM: Self = Self(1 << 9);

    pub(crate) fn of(headers: &HeaderMap) -> Self {
        (headers.keys()).fold(Self::default(), |all, name| all.and(Self::of_one(name)))
    }

    /// Whether one of these is among them.
    pub(crate) fn has(self, Self(one): Self) -> bool {
        self.0 & one != 0
    }

    fn and(self, Self(more): Self) -> Self {
        Self(self.0 | more)
    }

    pub(super) fn of_one(name: &HeaderName) -> Self {
        match *name {
            header::CONNECTION => Self::CONNECTION,
            header::CONTENT_LENGTH => Self::CONTENT_LENGTH,
            header::CONTENT_TYPE => Self::CONTENT_TYPE,
            header::EXPECT => Self::EXPECT,
            header::TE => Self::TE.and(Self::HOP_BY_HOP),
            header::TRANSFER_ENCODING => Self::TRANSFER_ENCODING.and(Self::HOP_BY_HOP),
            header::UPGRADE => Self::UPGRADE.and(Self::HOP_BY_HOP),
            header::PROXY_AUTHORIZATION => Self::CONFUSING,
            // What most requests have besides.
            header::ACCEPT
            | header::ACCEPT_ENCODING
            | header::ACCEPT_LANGUAGE
            | header::COOKIE
            | header::DATE
            | header::HOST
            | header::SERVER
            | header::USER_AGENT => Self::default(),
            _ => match name.as_str() {
                "keep-alive" | "proxy-connection" => Self::HOP_BY_HOP,
                "proxy" => Self::CONFUSING,
                name if name.starts_with("ssl-client-") || name.as_bytes().contains(&b'_') => {
                    Self::CONFUSING
                }
                name if client::is_claim(name) => Self::CLAIM,
                _ => Self::default(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(names: &[&'static str]) -> Names {
        let empty = HeaderValue::from_static("");
        let pairs = names
            .iter()
            .map(|name| (HeaderName::from_static(name), empty.clone()));
        Names::of(&pairs.collect())
    }

    #[test]
    fn what_is_there_is_found_among_others() {
        let names = of(&["host", "te", "content-type", "x-other"]);
        for there in [Names::TE, Names::HOP_BY_HOP, Names::CONTENT_TYPE] {
            assert!(names.has(there));
        }
        for away in [
            Names::EXPECT,
            Names::CONFUSING,
            Names::CLAIM,
            Names::UPGRADE,
        ] {
            assert!(!names.has(away));
        }
    }

    #[test]
    fn what_may_be_taken_for_another_header_is_confusing() {
        for name in [
            "x_real_ip",
            "ssl-client-verify",
            "proxy",
            "proxy-authorization",
        ] {
            assert_eq!(of(&["host", name]), Names::CONFUSING, "{name}");
        }
        for name in ["forwarded", "x-scheme", "x-forwarded-for"] {
            assert_eq!(of(&["host", name]), Names::CLAIM, "{name}");
        }
        assert_eq!(of(&["host", "accept", "x-request-id"]), Names::default());
    }
}
