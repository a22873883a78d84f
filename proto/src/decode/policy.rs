//! Policies of routes. What is secure about one is never dropped: a policy that is not understood is no policy.

use meshlite_snapshot::{
    Access, BasicAuth, Canary, CanaryHeader, CanaryMatch, ClientAuth, ClientAuthMode, Cors,
    ErrorPages, ExternalAuth, Limits, Policy, RateLimit, Retry, RetryOn,
};

use super::{DecodeError, field, filter, route};
use crate::v1;

pub(super) fn policy(from: v1::Policy) -> Result<Policy, DecodeError> {
    Ok(Policy {
        https_redirect: status("https_redirect", from.https_redirect, 300)?,
        access: from.access.map(access).transpose()?.unwrap_or_default(),
        limits: from.limits.map(limits).transpose()?.unwrap_or_default(),
        cors: from.cors.map(cors),
        canaries: field::each("canaries", from.canaries, canary)?,
        retry: from.retry.map(retry).transpose()?,
        error_pages: from.error_pages.map(error_pages).transpose()?,
        default_backend: field::optional_name("default_backend", &from.default_backend)?,
        compression: from.compression,
        no_access_log: from.no_access_log,
        forwarded_prefix: field::optional(from.forwarded_prefix),
        allow_encoded_slashes: from.allow_encoded_slashes,
    })
}

pub(super) fn client_auth(from: v1::ClientAuth) -> Result<ClientAuth, DecodeError> {
    use v1::client_auth::Mode;
    let mode = match field::known("client_auth.mode", from.mode)? {
        Mode::Require => ClientAuthMode::Require,
        Mode::Optional => ClientAuthMode::Optional,
        Mode::OptionalUnverified => ClientAuthMode::OptionalUnverified,
        Mode::Unspecified => return Err(field::unspecified("client_auth.mode")),
    };
    Ok(ClientAuth {
        authorities: field::name("client_auth.authorities", &from.authorities)?,
        mode,
        depth: from.depth,
        forward_certificate: from.forward_certificate,
        error_page: field::optional(from.error_page),
        subject: field::optional(from.subject),
    })
}

fn access(from: v1::Access) -> Result<Access, DecodeError> {
    Ok(Access {
        allow: field::networks("access.allow", &from.allow)?,
        deny: field::networks("access.deny", &from.deny)?,
        satisfy_any: from.satisfy_any,
        basic: from.basic.map(basic).transpose()?,
        external: from.external.map(external).transpose()?,
    })
}

fn basic(from: v1::BasicAuth) -> Result<BasicAuth, DecodeError> {
    Ok(BasicAuth {
        realm: from.realm,
        users: field::name("access.basic.users", &from.users)?,
    })
}

fn external(from: v1::ExternalAuth) -> Result<ExternalAuth, DecodeError> {
    let headers = from.request_headers;
    Ok(ExternalAuth {
        url: field::not_empty("access.external.url", from.url)?,
        cluster: field::optional_name("access.external.cluster", &from.cluster)?,
        method: field::optional(from.method),
        request_headers: field::each("access.external.request_headers", headers, filter::header)?,
        response_headers: from.response_headers,
        signin: field::optional(from.signin),
        signin_redirect_param: from.signin_redirect_param,
        always_set_cookie: from.always_set_cookie,
        timeout_ms: field::optional_number(from.timeout_ms),
    })
}

fn limits(from: v1::Limits) -> Result<Limits, DecodeError> {
    let rate = |from: v1::RateLimit| {
        Ok(RateLimit {
            requests: from.requests,
            per_seconds: at_least_one("per_seconds", from.per_seconds)?,
            burst: at_least_one("burst", from.burst)?,
        })
    };
    Ok(Limits {
        rates: field::each("limits.rates", from.rates, rate)?,
        concurrent_requests: field::optional_number(from.concurrent_requests),
        exempt: field::networks("limits.exempt", &from.exempt)?,
        status: status("limits.status", from.status, 400)?,
        body_bytes: from.body_bytes,
    })
}

fn cors(from: v1::Cors) -> Cors {
    Cors {
        allow_origins: from.allow_origins,
        allow_methods: from.allow_methods,
        allow_headers: from.allow_headers,
        expose_headers: from.expose_headers,
        allow_credentials: from.allow_credentials,
        max_age_seconds: from.max_age_seconds,
    }
}

fn canary(from: v1::Canary) -> Result<Canary, DecodeError> {
    Ok(Canary {
        backends: field::each("backends", &from.backends, route::weighted)?,
        header: from.header.map(canary_header).transpose()?,
        cookie: field::optional(from.cookie),
        weight: from.weight,
        total: at_least_one("total", from.total)?,
    })
}

fn canary_header(from: v1::CanaryHeader) -> Result<CanaryHeader, DecodeError> {
    use v1::canary_header::Values;
    let values = match from.values {
        Some(Values::AlwaysNever(true)) => CanaryMatch::AlwaysNever,
        Some(Values::Exact(value)) => CanaryMatch::Exact(value),
        Some(Values::Regex(expression)) => CanaryMatch::Regex(expression),
        Some(Values::AlwaysNever(false)) | None => {
            return Err(DecodeError::unsupported("header.values", "its kind"));
        }
    };
    Ok(CanaryHeader {
        name: field::not_empty("header.name", from.name)?,
        values,
    })
}

fn retry(from: v1::Retry) -> Result<Retry, DecodeError> {
    Ok(Retry {
        attempts: at_least_one("retry.attempts", from.attempts)?,
        on: field::each("retry.on", from.on, retry_on)?,
        timeout_ms: field::optional_number(from.timeout_ms),
        non_idempotent: from.non_idempotent,
    })
}

fn retry_on(from: v1::RetryOn) -> Result<RetryOn, DecodeError> {
    use v1::retry_on::{Failure, Kind};
    match from.kind {
        Some(Kind::Failure(failure)) => match field::known("failure", failure)? {
            Failure::ConnectFailure => Ok(RetryOn::ConnectFailure),
            Failure::Reset => Ok(RetryOn::Reset),
            Failure::Timeout => Ok(RetryOn::Timeout),
            Failure::Unspecified => Err(field::unspecified("failure")),
        },
        Some(Kind::Status(status)) => {
            field::number("status", status, &(100..=599)).map(RetryOn::Status)
        }
        None => Err(DecodeError::unsupported("kind", "what is retried")),
    }
}

fn error_pages(from: v1::ErrorPages) -> Result<ErrorPages, DecodeError> {
    Ok(ErrorPages {
        statuses: field::each("error_pages.statuses", from.statuses, |status| {
            field::number("status", status, &(400..=599))
        })?,
        cluster: field::name("error_pages.cluster", &from.cluster)?,
    })
}

/// A status of the class that begins with `class` or above it, where 0 stands for none.
fn status(field: &str, value: u32, class: u16) -> Result<Option<u16>, DecodeError> {
    let last = if class == 300 { 399 } else { 599 };
    match value {
        0 => Ok(None),
        value => field::number(field, value, &(class..=last)).map(Some),
    }
}

fn at_least_one(field: &str, value: u32) -> Result<u32, DecodeError> {
    field::optional_number(value)
        .ok_or_else(|| DecodeError::invalid(field, "0 is not in 1 to 4294967295"))
}
