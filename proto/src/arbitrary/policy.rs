//! Arbitrary policies of routes.

use meshlite_snapshot::{
    Access, BasicAuth, Canary, CanaryHeader, CanaryMatch, ClientAuth, ClientAuthMode, Cors,
    ErrorPages, ExternalAuth, Limits, Policy, RateLimit, Retry, RetryOn,
};
use proptest::{collection::vec, option::of, prelude::*, sample::select};

use super::{name, network, positive, text, weighted, word};

pub(super) fn policy() -> BoxedStrategy<Policy> {
    let before = (of(300..=399_u16), access(), limits(), of(cors()));
    let pages = (vec(400..=599_u16, 0..3), name());
    let pages = pages.prop_map(|(statuses, cluster)| ErrorPages { statuses, cluster });
    let backend = (vec(canary(), 0..2), of(retry()), of(pages), of(name()));
    (before, backend, any::<[bool; 3]>(), of(word()))
        .prop_map(|(before, backend, flags, forwarded_prefix)| {
            let (https_redirect, access, limits, cors) = before;
            let (canaries, retry, error_pages, default_backend) = backend;
            let [compression, no_access_log, allow_encoded_slashes] = flags;
            Policy {
                https_redirect,
                access,
                limits,
                cors,
                canaries,
                retry,
                error_pages,
                default_backend,
                compression,
                no_access_log,
                allow_encoded_slashes,
                forwarded_prefix,
            }
        })
        .boxed()
}

pub(super) fn client_auth() -> BoxedStrategy<ClientAuth> {
    let modes = vec![
        ClientAuthMode::Require,
        ClientAuthMode::Optional,
        ClientAuthMode::OptionalUnverified,
    ];
    (
        name(),
        select(modes),
        any::<u32>(),
        any::<bool>(),
        of(word()),
        of(word()),
    )
        .prop_map(
            |(authorities, mode, depth, forward_certificate, error_page, subject)| ClientAuth {
                authorities,
                mode,
                depth,
                forward_certificate,
                error_page,
                subject,
            },
        )
        .boxed()
}

fn access() -> BoxedStrategy<Access> {
    let networks = || vec(network(), 0..3);
    let basic = (text(), name()).prop_map(|(realm, users)| BasicAuth { realm, users });
    (
        networks(),
        networks(),
        any::<bool>(),
        of(basic),
        of(external()),
    )
        .prop_map(|(allow, deny, satisfy_any, basic, external)| Access {
            allow,
            deny,
            satisfy_any,
            basic,
            external,
        })
        .boxed()
}

fn external() -> BoxedStrategy<ExternalAuth> {
    let headers = (vec((word(), text()), 0..2), vec(word(), 0..2));
    let signin = (of(word()), text(), any::<bool>());
    (word(), of(name()), of(word()), headers, signin, positive())
        .prop_map(
            |(url, cluster, method, headers, signin, timeout_ms)| ExternalAuth {
                url,
                cluster,
                method,
                request_headers: headers.0,
                response_headers: headers.1,
                signin: signin.0,
                signin_redirect_param: signin.1,
                always_set_cookie: signin.2,
                timeout_ms,
            },
        )
        .boxed()
}

fn limits() -> BoxedStrategy<Limits> {
    let rate = (any::<u32>(), 1..=u32::MAX, 1..=u32::MAX);
    let rate = rate.prop_map(|(requests, per_seconds, burst)| RateLimit {
        requests,
        per_seconds,
        burst,
    });
    let answers = (of(400..=599_u16), of(any::<u64>()));
    (vec(rate, 0..3), positive(), vec(network(), 0..3), answers)
        .prop_map(
            |(rates, concurrent_requests, exempt, (status, body_bytes))| Limits {
                rates,
                concurrent_requests,
                exempt,
                status,
                body_bytes,
            },
        )
        .boxed()
}

fn cors() -> BoxedStrategy<Cors> {
    let words = || vec(word(), 0..3);
    let lists = (words(), words(), words(), words());
    (lists, any::<bool>(), any::<u32>())
        .prop_map(|(lists, allow_credentials, max_age_seconds)| Cors {
            allow_origins: lists.0,
            allow_methods: lists.1,
            allow_headers: lists.2,
            expose_headers: lists.3,
            allow_credentials,
            max_age_seconds,
        })
        .boxed()
}

fn canary() -> BoxedStrategy<Canary> {
    let values = prop_oneof![
        Just(CanaryMatch::AlwaysNever),
        text().prop_map(CanaryMatch::Exact),
        text().prop_map(CanaryMatch::Regex),
    ];
    let header = (word(), values).prop_map(|(name, values)| CanaryHeader { name, values });
    let share = (any::<u32>(), 1..=u32::MAX);
    (vec(weighted(), 0..2), of(header), of(word()), share)
        .prop_map(|(backends, header, cookie, (weight, total))| Canary {
            backends,
            header,
            cookie,
            weight,
            total,
        })
        .boxed()
}

fn retry() -> BoxedStrategy<Retry> {
    let on = prop_oneof![
        Just(RetryOn::ConnectFailure),
        Just(RetryOn::Reset),
        Just(RetryOn::Timeout),
        (100..=599_u16).prop_map(RetryOn::Status),
    ];
    (1..=u32::MAX, vec(on, 0..3), positive(), any::<bool>())
        .prop_map(|(attempts, on, timeout_ms, non_idempotent)| Retry {
            attempts,
            on,
            timeout_ms,
            non_idempotent,
        })
        .boxed()
}
