//! Policies of routes.

use meshlite_snapshot::{
    Access, BasicAuth, Canary, CanaryHeader, CanaryMatch, ClientAuth, ClientAuthMode, Cors,
    ErrorPages, ExternalAuth, Limits, Policy, RateLimit, Retry, RetryOn,
};

use super::{route, shown, text};
use crate::v1;

pub(super) fn policy(policy: &Policy) -> v1::Policy {
    v1::Policy {
        https_redirect: status(policy.https_redirect),
        access: (policy.access != Access::default()).then(|| access(&policy.access)),
        limits: (policy.limits != Limits::default()).then(|| limits(&policy.limits)),
        cors: policy.cors.as_ref().map(cors),
        canaries: policy.canaries.iter().map(canary).collect(),
        retry: policy.retry.as_ref().map(retry),
        error_pages: policy.error_pages.as_ref().map(error_pages),
        default_backend: text(policy.default_backend.as_ref().map(AsRef::as_ref)),
        compression: policy.compression,
        no_access_log: policy.no_access_log,
        forwarded_prefix: text(policy.forwarded_prefix.as_deref()),
        allow_encoded_slashes: policy.allow_encoded_slashes,
    }
}

pub(super) fn client_auth(auth: &ClientAuth) -> v1::ClientAuth {
    use v1::client_auth::Mode;
    let mode = match auth.mode {
        ClientAuthMode::Require => Mode::Require,
        ClientAuthMode::Optional => Mode::Optional,
        ClientAuthMode::OptionalUnverified => Mode::OptionalUnverified,
    };
    v1::ClientAuth {
        authorities: auth.authorities.to_string(),
        mode: mode.into(),
        depth: auth.depth,
        forward_certificate: auth.forward_certificate,
        error_page: text(auth.error_page.as_deref()),
        subject: text(auth.subject.as_deref()),
    }
}

fn access(access: &Access) -> v1::Access {
    v1::Access {
        allow: shown(&access.allow),
        deny: shown(&access.deny),
        satisfy_any: access.satisfy_any,
        basic: access.basic.as_ref().map(basic),
        external: access.external.as_ref().map(external),
    }
}

fn basic(auth: &BasicAuth) -> v1::BasicAuth {
    v1::BasicAuth {
        realm: auth.realm.clone(),
        users: auth.users.to_string(),
    }
}

fn external(auth: &ExternalAuth) -> v1::ExternalAuth {
    v1::ExternalAuth {
        url: auth.url.clone(),
        cluster: text(auth.cluster.as_ref().map(AsRef::as_ref)),
        method: text(auth.method.as_deref()),
        request_headers: auth.request_headers.iter().map(route::header).collect(),
        response_headers: auth.response_headers.clone(),
        signin: text(auth.signin.as_deref()),
        signin_redirect_param: auth.signin_redirect_param.clone(),
        always_set_cookie: auth.always_set_cookie,
        timeout_ms: auth.timeout_ms.unwrap_or(0),
    }
}

fn limits(limits: &Limits) -> v1::Limits {
    let rate = |limit: &RateLimit| v1::RateLimit {
        requests: limit.requests,
        per_seconds: limit.per_seconds,
        burst: limit.burst,
    };
    v1::Limits {
        rates: limits.rates.iter().map(rate).collect(),
        concurrent_requests: limits.concurrent_requests.unwrap_or(0),
        exempt: shown(&limits.exempt),
        status: status(limits.status),
        body_bytes: limits.body_bytes,
    }
}

fn cors(cors: &Cors) -> v1::Cors {
    v1::Cors {
        allow_origins: cors.allow_origins.clone(),
        allow_methods: cors.allow_methods.clone(),
        allow_headers: cors.allow_headers.clone(),
        expose_headers: cors.expose_headers.clone(),
        allow_credentials: cors.allow_credentials,
        max_age_seconds: cors.max_age_seconds,
    }
}

fn canary(canary: &Canary) -> v1::Canary {
    v1::Canary {
        backends: canary.backends.iter().map(route::weighted).collect(),
        header: canary.header.as_ref().map(canary_header),
        cookie: text(canary.cookie.as_deref()),
        weight: canary.weight,
        total: canary.total,
    }
}

fn canary_header(header: &CanaryHeader) -> v1::CanaryHeader {
    use v1::canary_header::Values;
    let values = match &header.values {
        CanaryMatch::AlwaysNever => Values::AlwaysNever(true),
        CanaryMatch::Exact(value) => Values::Exact(value.clone()),
        CanaryMatch::Regex(expression) => Values::Regex(expression.clone()),
    };
    v1::CanaryHeader {
        name: header.name.clone(),
        values: Some(values),
    }
}

fn retry(retry: &Retry) -> v1::Retry {
    v1::Retry {
        attempts: retry.attempts,
        on: retry.on.iter().copied().map(retry_on).collect(),
        timeout_ms: retry.timeout_ms.unwrap_or(0),
        non_idempotent: retry.non_idempotent,
    }
}

fn retry_on(on: RetryOn) -> v1::RetryOn {
    use v1::retry_on::{Failure, Kind};
    let kind = match on {
        RetryOn::ConnectFailure => Kind::Failure(Failure::ConnectFailure.into()),
        RetryOn::Reset => Kind::Failure(Failure::Reset.into()),
        RetryOn::Timeout => Kind::Failure(Failure::Timeout.into()),
        RetryOn::Status(status) => Kind::Status(status.into()),
    };
    v1::RetryOn { kind: Some(kind) }
}

fn error_pages(pages: &ErrorPages) -> v1::ErrorPages {
    v1::ErrorPages {
        statuses: pages.statuses.iter().copied().map(u32::from).collect(),
        cluster: pages.cluster.to_string(),
    }
}

/// 0 stands for none.
fn status(status: Option<u16>) -> u32 {
    status.map_or(0, u32::from)
}
