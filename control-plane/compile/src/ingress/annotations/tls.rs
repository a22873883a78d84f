//! Certificates of clients (`auth-tls-*`).

use meshlite_snapshot::{ClientAuth, ClientAuthMode};

use super::{
    Asked, reference,
    secrets::{self, Part},
    written::Written,
};
use crate::ingress::regex;

const MODES: [(&str, Option<ClientAuthMode>); 4] = [
    ("on", Some(ClientAuthMode::Require)),
    ("off", None),
    ("optional", Some(ClientAuthMode::Optional)),
    ("optional_no_ca", Some(ClientAuthMode::OptionalUnverified)),
];

pub(super) fn read(written: &mut Written<'_, '_>, asked: &mut Asked) {
    let Some(secret) = written.value("auth-tls-secret") else {
        return;
    };
    let mode = written.protecting_choice("auth-tls-verify-client", &MODES);
    // Without it, or malformed, certificates are required.
    let Some(mode) = mode.unwrap_or(Some(ClientAuthMode::Require)) else {
        return;
    };
    let subject = written.value("auth-tls-match-cn").and_then(|pattern| {
        let checked = regex::check(pattern.text);
        checked
            .map_err(|problem| written.close(&pattern, &problem))
            .ok()?;
        Some(pattern.text.to_owned())
    });
    let depth = match written.value("auth-tls-verify-depth") {
        None => 1,
        Some(value) => value.text.parse().unwrap_or_else(|_error| {
            written.close(&value, "is not a number");
            1
        }),
    };
    let error_page = written.value("auth-tls-error-page").and_then(|page| {
        let is_good = reference::is_location(page.text);
        if !is_good {
            written.invalid(&page, "is not a URL");
        }
        is_good.then(|| page.text.to_owned())
    });
    let forward_certificate = written
        .flag("auth-tls-pass-certificate-to-upstream")
        .unwrap_or_default();
    let Some(part) = secrets::named(written, &secret, Part::Authorities) else {
        return;
    };
    asked.client_auth = Some(ClientAuth {
        authorities: asked.secret(secret.field, part),
        mode,
        depth,
        forward_certificate,
        error_page,
        subject,
    });
}
