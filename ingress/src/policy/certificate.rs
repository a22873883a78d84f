//! Whether the certificate that a connection's client has shown is good enough for the host that a request asks for.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use meshlite_snapshot::ClientAuthMode;

use super::{Answered, Filling, Told, answer, template::escape};
use crate::{
    certificates::{Finding, Shown},
    forward::Exchange,
    respond::Refusal,
    sanitise,
    table::HostAuth,
};

const VERIFY: HeaderName = HeaderName::from_static("ssl-client-verify");
const SUBJECT: HeaderName = HeaderName::from_static("ssl-client-subject-dn");
const ISSUER: HeaderName = HeaderName::from_static("ssl-client-issuer-dn");
const CERTIFICATE: HeaderName = HeaderName::from_static("ssl-client-cert");

/// What the endpoint is told of the client's certificate, if the request may pass.
pub(super) fn check(exchange: &Exchange<'_>, head: &Parts) -> Result<Told, Answered> {
    let host = head.headers.get(header::HOST);
    let host = host.map(sanitise::name_of).unwrap_or_default();
    let auth = exchange.listener.client_auth(&host);
    let client = &exchange.connection.client;
    let shown = client.certificate.as_deref();
    // Without TLS nobody has shown anything, and there is no server name that could differ.
    if client.is_tls && shown.and_then(|shown| shown.rule.as_ref()) != auth.map(|auth| &auth.rule) {
        return Err(answer(exchange, Refusal::Misdirected));
    }
    let Some(auth) = auth else {
        return Ok(Vec::new());
    };
    let finding = shown.map_or(Finding::None, |shown| shown.finding);
    if let Err(refusal) = judge(auth.rule.mode, finding) {
        return Err(refused(exchange, head, auth, refusal));
    }
    let names = shown.and_then(Shown::names);
    if let Some(expected) = &auth.subject {
        let subject = names.as_ref().map_or("", |(subject, _)| subject);
        if !expected.is_match(subject.as_bytes()) {
            return Err(answer(exchange, Refusal::OtherSubject));
        }
    }
    Ok(told(auth, finding, shown, names))
}

fn judge(mode: ClientAuthMode, finding: Finding) -> Result<(), Refusal> {
    match (mode, finding) {
        (ClientAuthMode::OptionalUnverified, _)
        | (_, Finding::Good)
        | (ClientAuthMode::Optional, Finding::None) => Ok(()),
        (_, Finding::NoAuthorities) => Err(Refusal::NoAuthorities),
        (ClientAuthMode::Require, Finding::None) => Err(Refusal::NoCertificate),
        (ClientAuthMode::Require | ClientAuthMode::Optional, Finding::Bad(_)) => {
            Err(Refusal::BadCertificate)
        }
    }
}

fn refused(exchange: &Exchange<'_>, head: &Parts, auth: &HostAuth, refusal: Refusal) -> Answered {
    let mut answered = answer(exchange, refusal);
    let client = &exchange.connection.client;
    let trusted = &exchange.connection.worker.shared.config.trusted_proxies;
    let page = auth.error_page.as_ref().map(|page| {
        page.url(Filling {
            parts: head,
            scheme: client.scheme(&head.headers),
            client: client.address(&head.headers, trusted),
        })
    });
    if let Some(location) = page.and_then(|page| HeaderValue::try_from(page).ok()) {
        *answered.0.status_mut() = http::StatusCode::FOUND;
        let headers: &mut HeaderMap = answered.0.headers_mut();
        headers.insert(header::LOCATION, location);
    }
    answered
}

fn told(
    auth: &HostAuth,
    finding: Finding,
    shown: Option<&Shown>,
    names: Option<(String, String)>,
) -> Told {
    let mut told = vec![(VERIFY, HeaderValue::try_from(finding.to_string()).ok())];
    if let Some((subject, issuer)) = names {
        told.push((SUBJECT, HeaderValue::try_from(subject).ok()));
        told.push((ISSUER, HeaderValue::try_from(issuer).ok()));
    }
    if auth.rule.forward_certificate
        && let Some(pem) = shown.and_then(Shown::pem)
    {
        told.push((CERTIFICATE, HeaderValue::try_from(escape(&pem)).ok()));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_mode_takes_passes() {
        use ClientAuthMode::{Optional, OptionalUnverified, Require};
        let bad = Finding::Bad("certificate has expired");
        for (mode, finding, passes) in [
            (Require, Finding::Good, true),
            (Require, Finding::None, false),
            (Require, bad, false),
            (Require, Finding::NoAuthorities, false),
            (Optional, Finding::Good, true),
            (Optional, Finding::None, true),
            (Optional, bad, false),
            (Optional, Finding::NoAuthorities, false),
            (OptionalUnverified, bad, true),
            (OptionalUnverified, Finding::None, true),
        ] {
            assert_eq!(judge(mode, finding).is_ok(), passes, "{mode:?} {finding:?}");
        }
    }
}
