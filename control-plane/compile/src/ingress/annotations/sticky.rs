//! Clients that stay with an endpoint by a cookie (`affinity`, `session-cookie-*`).

use meshlite_snapshot::{SameSite, StickyCookie};

use super::{headers, written::Written};

const DEFAULT_NAME: &str = "INGRESSCOOKIE";

pub(super) fn read(written: &mut Written<'_, '_>) -> Option<StickyCookie> {
    written.choice("affinity", &[("cookie", ())])?;
    let sites = [
        ("Strict", SameSite::Strict),
        ("Lax", SameSite::Lax),
        ("None", SameSite::None),
    ];
    let modes = [("balanced", true), ("persistent", false)];
    let canaries = [("sticky", true), ("legacy", false)];
    let max_age = written.number("session-cookie-max-age");
    let expires = written.number("session-cookie-expires");
    let failing = written.flag("session-cookie-change-on-failure");
    Some(StickyCookie {
        name: text(written, "session-cookie-name", headers::is_token)
            .unwrap_or_else(|| DEFAULT_NAME.to_owned()),
        path: text(written, "session-cookie-path", is_attribute),
        domain: text(written, "session-cookie-domain", is_attribute),
        max_age_seconds: max_age.or(expires),
        secure: written.flag("session-cookie-secure"),
        http_only: true,
        same_site: written.choice("session-cookie-samesite", &sites),
        balanced: written.choice("affinity-mode", &modes).unwrap_or(true),
        change_on_failure: failing.unwrap_or_default(),
        canary: written
            .choice("affinity-canary-behavior", &canaries)
            .unwrap_or(true),
    })
}

fn text(written: &mut Written<'_, '_>, name: &str, is_good: fn(&str) -> bool) -> Option<String> {
    let value = written.value(name)?;
    let good = is_good(value.text).then(|| value.text.to_owned());
    if good.is_none() {
        written.invalid(&value, "cannot stand in a cookie");
    }
    good
}

/// An attribute's value of RFC 6265.
fn is_attribute(text: &str) -> bool {
    headers::is_value(text) && !text.contains(';')
}
