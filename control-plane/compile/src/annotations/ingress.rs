//! Every annotation that an Ingress may have: what it means here, and how far that is what it means in ingress-nginx.

use self::{
    Domains::{Both, Meshlite, Nginx},
    Support::{Differs, NoEffect, Same, Unsupported, Within},
};

/// Our annotations.
pub(crate) const MESHLITE: &str = "meshlite.io/";
/// Those of ingress-nginx.
pub(crate) const NGINX: &str = "nginx.ingress.kubernetes.io/";

/// One annotation of an Ingress.
#[derive(Clone, Copy, Debug)]
pub struct Annotation {
    /// Its name after the domain.
    pub name: &'static str,
    /// What it belongs to.
    pub family: &'static str,
    /// The domains that have it.
    pub domains: Domains,
    /// How far it is served.
    pub support: Support,
    /// What it does; where it is not served, what to do.
    pub says: &'static str,
}

/// The domains that have an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domains {
    /// `meshlite.io/` and `nginx.ingress.kubernetes.io/`; ours counts where both are written.
    Both,
    /// `meshlite.io/` alone.
    Meshlite,
    /// `nginx.ingress.kubernetes.io/` alone.
    Nginx,
}

/// How far an annotation is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As ingress-nginx does.
    Same,
    /// As ingress-nginx does within limits that are said; what is beyond them is found.
    Within,
    /// With a difference that is said.
    Differs,
    /// It is about how nginx works inside; nothing is lost without it.
    NoEffect,
    /// Not served: a finding, unless the value is one of these, which ask for nothing.
    Unsupported(&'static [&'static str]),
}

/// The annotation of this full name.
pub fn find(annotation: &str) -> Option<&'static Annotation> {
    let (name, other) = match annotation.strip_prefix(MESHLITE) {
        Some(name) => (name, Nginx),
        None => (annotation.strip_prefix(NGINX)?, Meshlite),
    };
    ALL.iter()
        .find(|known| known.name == name && known.domains != other)
}

impl Annotation {
    /// Its full names.
    pub fn full_names(&self) -> impl Iterator<Item = String> {
        let domains = match self.domains {
            Both => &[MESHLITE, NGINX][..],
            Meshlite => &[MESHLITE],
            Nginx => &[NGINX],
        };
        domains
            .iter()
            .map(|domain| format!("{domain}{}", self.name))
    }
}

const fn row(
    family: &'static str,
    name: &'static str,
    domains: Domains,
    support: Support,
    says: &'static str,
) -> Annotation {
    Annotation {
        name,
        family,
        domains,
        support,
        says,
    }
}

const OFF: &[&str] = &["false", "off", "0"];

/// All of them, by family.
#[rustfmt::skip]
pub const ALL: &[Annotation] = &[
    row("redirects", "ssl-redirect", Both, Within, "`true`: plain requests for hosts with TLS go to HTTPS with 308. Off where nothing is written; `--nginx-compat` turns it on as in ingress-nginx."),
    row("redirects", "force-ssl-redirect", Both, Same, "`true`: plain requests go to HTTPS with 308, whether or not the host has TLS. Never for `/.well-known/acme-challenge/`."),
    row("redirects", "permanent-redirect", Both, Same, "Every request is answered with this `Location` and 301. `$scheme`, `$host` and `$request_uri` stand for the request's own."),
    row("redirects", "permanent-redirect-code", Both, Same, "Its status, 300 to 308."),
    row("redirects", "temporal-redirect", Both, Same, "The same with 302. Stronger than `permanent-redirect`."),
    row("redirects", "temporal-redirect-code", Both, Same, "Its status, 300 to 308."),
    row("redirects", "app-root", Both, Same, "Requests for `/` are sent to this path with 302."),
    row("redirects", "from-to-www-redirect", Both, Same, "`true`: `www.HOST` redirects to `HOST`, or `HOST` to `www.HOST`, with 308, unless an Ingress has rules for it."),
    row("redirects", "use-port-in-redirects", Nginx, Unsupported(OFF), "Redirects name the port that clients connected to where it is not the scheme's own. Remove it."),
    row("redirects", "relative-redirects", Nginx, Unsupported(OFF), "Redirects are absolute. Remove it."),
    row("redirects", "preserve-trailing-slash", Nginx, NoEffect, "A trailing slash always stays in redirects."),
    row("redirects", "proxy-redirect-from", Nginx, Unsupported(&["off", "default"]), "`Location` of backends passes as it is. Let the backend write it, with X-Forwarded-Host."),
    row("redirects", "proxy-redirect-to", Nginx, Unsupported(&["off", "default"]), "`Location` of backends passes as it is. Let the backend write it, with X-Forwarded-Host."),

    row("paths", "use-regex", Both, Within, "`true`: all paths of the rules' hosts, those of other Ingresses too, are regular expressions, without regard to case, from the start of the path on. Longer ones come first. No look-around, no back-references."),
    row("paths", "rewrite-target", Both, Within, "The path becomes this; `$1` to `$9` are the groups of the rule's path. Implies `use-regex` where it is not the path itself. A URL is not supported: use `permanent-redirect`."),
    row("paths", "allow-encoded-slashes", Meshlite, Same, "`true`: paths with `%2F` or `%5C` are served as they are, and these separate nothing. Else they are refused with 400, because backends may read other paths in them."),

    row("hosts", "server-alias", Both, Within, "Further names of the first host, unless an Ingress has rules for them. Regular expressions (`~…`) are not supported."),

    row("upstreams", "backend-protocol", Both, Within, "`HTTP`, `HTTPS`, `GRPC` or `GRPCS`. `AUTO_HTTP` and `FCGI` are not supported. Stronger than the Service's `appProtocol`."),
    row("upstreams", "load-balance", Both, Within, "`round_robin`, `ewma`, or ours: `least_request`, which is the default."),
    row("upstreams", "upstream-hash-by", Both, Same, "Requests that agree in this go to one endpoint: `$request_uri`, `$uri`, `$host`, `$remote_addr`, `$http_NAME`, `$cookie_NAME`, `$arg_NAME` and text."),
    row("upstreams", "upstream-hash-by-subset", Nginx, Unsupported(OFF), "One endpoint is chosen, not a group. Remove it, or use `load-balance: least_request`."),
    row("upstreams", "upstream-hash-by-subset-size", Nginx, Unsupported(&[]), "One endpoint is chosen, not a group. Remove it."),
    row("upstreams", "service-upstream", Both, Same, "`true`: requests go to the Service's address, so that what serves Services balances them, instead of to its endpoints."),
    row("upstreams", "upstream-vhost", Both, Same, "The `Host` that backends get."),
    row("upstreams", "send-proxy-protocol", Meshlite, Same, "`v1` or `v2`: connections to backends begin with a header of the PROXY protocol."),
    row("upstreams", "proxy-http-version", Nginx, Unsupported(&["1.1"]), "Backends get HTTP/1.1, or HTTP/2 by `backend-protocol`. Remove it."),
    row("upstreams", "connection-proxy-header", Nginx, Unsupported(&["keep-alive"]), "Connections to backends are always kept alive. Remove it."),

    row("upstream TLS", "proxy-ssl-secret", Both, Same, "A Secret of the same namespace with `ca.crt` to verify backends by, and `tls.crt` and `tls.key` to show them."),
    row("upstream TLS", "proxy-ssl-verify", Both, Within, "`on`: certificates of backends are verified; without `proxy-ssl-secret` by the system's authorities, where ingress-nginx verifies nothing: that is said."),
    row("upstream TLS", "proxy-ssl-name", Both, Same, "The name that the certificate must be for."),
    row("upstream TLS", "proxy-ssl-server-name", Both, Within, "`on`: it is sent as SNI. It is always sent where certificates are verified."),
    row("upstream TLS", "proxy-ssl-verify-depth", Nginx, Unsupported(&[]), "Chains are verified whole. Remove it."),
    row("upstream TLS", "proxy-ssl-protocols", Nginx, Unsupported(&[]), "TLS 1.2 and 1.3 are spoken. Remove it."),
    row("upstream TLS", "proxy-ssl-ciphers", Nginx, Unsupported(&[]), "Modern ciphers are used. Remove it."),

    row("sticky sessions", "affinity", Both, Same, "`cookie`: a cookie keeps a client at its endpoint."),
    row("sticky sessions", "affinity-mode", Both, Same, "`balanced`, or `persistent`: a client moves only where its endpoint is gone."),
    row("sticky sessions", "affinity-canary-behavior", Both, Differs, "`sticky`, or `legacy`: the canary is chosen for each request. Write it on the main Ingress."),
    row("sticky sessions", "session-cookie-name", Both, Same, "Its name; `INGRESSCOOKIE` where nothing is written."),
    row("sticky sessions", "session-cookie-path", Both, Same, "Its `Path`; `/` where nothing is written (ingress-nginx: the path of the rule)."),
    row("sticky sessions", "session-cookie-domain", Both, Same, "Its `Domain`."),
    row("sticky sessions", "session-cookie-expires", Both, Differs, "Its `Max-Age` in seconds, where `session-cookie-max-age` is not written; `Expires` is not sent."),
    row("sticky sessions", "session-cookie-max-age", Both, Same, "Its `Max-Age` in seconds."),
    row("sticky sessions", "session-cookie-samesite", Both, Same, "Its `SameSite`: `Strict`, `Lax` or `None`."),
    row("sticky sessions", "session-cookie-secure", Both, Same, "Its `Secure`; where nothing is written, over TLS."),
    row("sticky sessions", "session-cookie-change-on-failure", Both, Same, "`true`: a client moves where its endpoint fails."),
    row("sticky sessions", "session-cookie-conditional-samesite-none", Nginx, Unsupported(OFF), "`SameSite=None` is sent to every browser. Remove it."),
    row("sticky sessions", "session-cookie-partitioned", Nginx, Unsupported(OFF), "`Partitioned` is not sent. Remove it."),
    row("sticky sessions", "session-cookie-hash", Nginx, NoEffect, "The cookie's value is ours."),

    row("canaries", "canary", Both, Same, "`true`: this Ingress takes requests of the main Ingress with the same host, path and path type, and nothing else of it counts."),
    row("canaries", "canary-weight", Both, Same, "It takes so many …"),
    row("canaries", "canary-weight-total", Both, Same, "… of so many requests; 100 where nothing is written, and at least."),
    row("canaries", "canary-by-header", Both, Same, "A header that decides first: `always` or `never`."),
    row("canaries", "canary-by-header-value", Both, Same, "The value that takes the request, in their place."),
    row("canaries", "canary-by-header-pattern", Both, Within, "The expression that takes the request; no look-around, no back-references."),
    row("canaries", "canary-by-cookie", Both, Same, "A cookie that decides after the header: `always` or `never`."),

    row("timeouts", "request-timeout", Meshlite, Same, "How long a backend may take to answer: seconds (`30`) or `1m30s`."),
    row("timeouts", "proxy-connect-timeout", Both, Same, "How long a connection to a backend may take: seconds or `1m30s`."),
    row("timeouts", "proxy-read-timeout", Both, Within, "How long a backend may send nothing. Bytes in the other direction count too."),
    row("timeouts", "proxy-send-timeout", Both, Within, "How long a backend may take nothing. The longer one of the two counts for both directions, and it is said where this is the longer one."),
    row("timeouts", "proxy-next-upstream", Both, Same, "After what a request is tried at another endpoint: `error`, `timeout`, `invalid_header`, `http_500` …, `non_idempotent`, `off`."),
    row("timeouts", "proxy-next-upstream-tries", Both, Same, "Tries in all; 3 where nothing is written, 0 for as many as there are endpoints."),
    row("timeouts", "proxy-next-upstream-timeout", Both, Same, "Seconds after which no other try begins; 0 for any time."),

    row("limits", "proxy-body-size", Both, Same, "The largest body of a request: bytes, `8k`, `8m`; 0 for any. 413 beyond. Counted while it passes."),
    row("limits", "limit-rps", Both, Same, "Requests of a client in a second; 503 beyond (429 with ours)."),
    row("limits", "limit-rpm", Both, Same, "The same in a minute."),
    row("limits", "limit-burst-multiplier", Both, Same, "So many times as many may come at once; 5 where nothing is written."),
    row("limits", "limit-connections", Both, Differs, "Requests of a client at once; for HTTP/1.1 that is connections."),
    row("limits", "limit-allowlist", Both, Same, "Networks that are not limited."),
    row("limits", "limit-whitelist", Both, Same, "The older name of `limit-allowlist`."),
    row("limits", "limit-rate", Nginx, Unsupported(OFF), "Bytes in a second are not limited. Remove it."),
    row("limits", "limit-rate-after", Nginx, Unsupported(OFF), "Bytes in a second are not limited. Remove it."),

    row("buffers", "proxy-buffering", Nginx, NoEffect, "Bodies pass as they come."),
    row("buffers", "proxy-request-buffering", Nginx, NoEffect, "Bodies pass as they come."),
    row("buffers", "proxy-buffer-size", Nginx, NoEffect, "Heads of responses may be large without it."),
    row("buffers", "proxy-buffers-number", Nginx, NoEffect, "Bodies pass as they come."),
    row("buffers", "proxy-busy-buffers-size", Nginx, NoEffect, "Bodies pass as they come."),
    row("buffers", "proxy-max-temp-file-size", Nginx, NoEffect, "Nothing is written to disk."),
    row("buffers", "client-body-buffer-size", Nginx, NoEffect, "Bodies pass as they come."),

    row("access", "allowlist-source-range", Both, Same, "Networks that clients may come from; 403 for others."),
    row("access", "whitelist-source-range", Both, Same, "The older name of `allowlist-source-range`."),
    row("access", "denylist-source-range", Both, Same, "Networks that clients may not come from."),
    row("access", "satisfy", Both, Same, "`any`: a good address or a good password is enough; `all`."),
    row("access", "auth-type", Both, Same, "`basic`; `digest` is not supported and closes the routes."),
    row("access", "auth-secret", Both, Within, "A Secret of the same namespace with the users. One of another namespace closes the routes."),
    row("access", "auth-secret-type", Both, Same, "`auth-file`: htpasswd in the key `auth`; `auth-map`: keys are users, values hashes."),
    row("access", "auth-realm", Both, Same, "What browsers show."),
    row("access", "auth-url", Both, Same, "This server is asked about each request: 2xx lets it pass, 401 and 403 are the answer. nginx's variables may be used."),
    row("access", "auth-method", Both, Same, "The method that it is asked with."),
    row("access", "auth-signin", Both, Same, "Where clients go whom it answers 401."),
    row("access", "auth-signin-redirect-param", Both, Same, "The parameter with the address that was asked for; `rd` where nothing is written."),
    row("access", "auth-response-headers", Both, Same, "Headers of its answer that the backend gets."),
    row("access", "auth-request-redirect", Both, Same, "The value of `X-Auth-Request-Redirect` that it gets."),
    row("access", "auth-always-set-cookie", Both, Same, "`true`: its cookies reach clients with every answer."),
    row("access", "auth-cache-key", Nginx, Unsupported(&[]), "It is asked about each request; nothing is remembered. Remove it."),
    row("access", "auth-cache-duration", Nginx, Unsupported(&[]), "It is asked about each request; nothing is remembered. Remove it."),
    row("access", "auth-keepalive", Nginx, NoEffect, "Connections to it are always kept."),
    row("access", "auth-keepalive-requests", Nginx, NoEffect, "Connections to it are always kept."),
    row("access", "auth-keepalive-timeout", Nginx, NoEffect, "Connections to it are always kept."),
    row("access", "auth-keepalive-share-vars", Nginx, NoEffect, "There are no variables to share."),
    row("access", "auth-proxy-set-headers", Nginx, Unsupported(&[]), "ConfigMaps are not read. Let the server that is asked take what it needs from the request's own headers."),
    row("access", "auth-snippet", Nginx, Unsupported(&[]), "There is no nginx to configure. Say what it is for: most of it has an annotation."),
    row("access", "enable-global-auth", Nginx, NoEffect, "There is no authentication for all Ingresses."),

    row("client certificates", "auth-tls-secret", Both, Within, "A Secret of the same namespace with `ca.crt`: clients of the host need a certificate of these authorities. One of another namespace closes the routes."),
    row("client certificates", "auth-tls-verify-client", Both, Same, "`on`, `off`, `optional` or `optional_no_ca`."),
    row("client certificates", "auth-tls-verify-depth", Both, Same, "How long the chain may be; 1 where nothing is written."),
    row("client certificates", "auth-tls-error-page", Both, Same, "Where clients without a good certificate go."),
    row("client certificates", "auth-tls-pass-certificate-to-upstream", Both, Same, "`true`: the backend gets the certificate in `ssl-client-cert`."),
    row("client certificates", "auth-tls-match-cn", Both, Same, "A regular expression such as `CN=(alice|bob)`: clients whose certificate's subject (RFC 2253) has no match of it get 403."),

    row("CORS", "enable-cors", Both, Same, "`true`: preflights are answered, and responses carry what scripts of other origins may do."),
    row("CORS", "cors-allow-origin", Both, Within, "Origins; `*` where nothing is written. Where none of them can be used, no origin is allowed; ingress-nginx allows all."),
    row("CORS", "cors-allow-methods", Both, Same, "Methods."),
    row("CORS", "cors-allow-headers", Both, Same, "Headers of requests."),
    row("CORS", "cors-expose-headers", Both, Same, "Headers of responses that scripts may read."),
    row("CORS", "cors-allow-credentials", Both, Same, "`true` where nothing is written."),
    row("CORS", "cors-max-age", Both, Same, "Seconds; 1728000 where nothing is written."),

    row("headers", "x-forwarded-prefix", Both, Same, "The value of `X-Forwarded-Prefix` that backends get."),
    row("headers", "request-headers", Meshlite, Same, "`Name: value` in each line: set for backends."),
    row("headers", "response-headers", Meshlite, Same, "`Name: value` in each line: set for clients."),
    row("headers", "custom-headers", Nginx, Unsupported(&[]), "ConfigMaps are not read. Write meshlite.io/response-headers."),
    row("headers", "proxy-cookie-domain", Nginx, Unsupported(&["off"]), "Cookies of backends pass as they are. Let the backend write the domain."),
    row("headers", "proxy-cookie-path", Nginx, Unsupported(&["off"]), "Cookies of backends pass as they are. Let the backend write the path."),

    row("errors", "custom-http-errors", Both, Within, "Responses with these statuses are replaced by those of `default-backend`, which must be written too."),
    row("errors", "default-backend", Both, Same, "A Service of the same namespace, at its first port: answers where the backend has no endpoint, and for `custom-http-errors`."),
    row("errors", "disable-proxy-intercept-errors", Nginx, Unsupported(OFF), "There are no error pages for all Ingresses that could be left out. Remove it."),

    row("mirroring", "mirror-target", Both, Within, "A copy of each request goes to this Service of the same namespace: `http://NAME.NAMESPACE.svc[:PORT]`. The path stays."),
    row("mirroring", "mirror-host", Nginx, Unsupported(&[]), "Copies keep their `Host`. Remove it."),
    row("mirroring", "mirror-request-body", Nginx, Unsupported(&["on", "true"]), "Copies have their body. Remove it."),

    row("observability", "enable-access-log", Both, Same, "`false`: requests are not logged."),
    row("observability", "enable-rewrite-log", Nginx, NoEffect, "There is no such log."),
    row("observability", "enable-opentelemetry", Nginx, NoEffect, "Traces are for all routes or none: `--otlp-endpoint`."),
    row("observability", "opentelemetry-trust-incoming-span", Nginx, NoEffect, "The context of clients is continued."),
    row("observability", "opentelemetry-operation-name", Nginx, Unsupported(&[]), "Spans are named by route. Remove it."),

    row("others", "compression", Meshlite, Same, "`true`: text is compressed for clients that can read it."),
    row("others", "ssl-passthrough", Nginx, Unsupported(OFF), "TLS ends at the ingress. Serve it with a Service of type LoadBalancer or a NodePort."),
    row("others", "ssl-ciphers", Nginx, Unsupported(&[]), "TLS 1.2 and 1.3 with modern ciphers, the same for all hosts. Remove it."),
    row("others", "ssl-prefer-server-ciphers", Nginx, NoEffect, "Clients choose among modern ciphers."),
    row("others", "http2-push-preload", Nginx, Unsupported(OFF), "Browsers have given up HTTP/2 push. Remove it."),
    row("others", "fastcgi-index", Nginx, Unsupported(&[]), "FastCGI is not spoken. Put a server for HTTP before it."),
    row("others", "fastcgi-params-configmap", Nginx, Unsupported(&[]), "FastCGI is not spoken. Put a server for HTTP before it."),
    row("others", "enable-modsecurity", Nginx, Unsupported(OFF), "There is no web application firewall. Put one between ingress and backend, and know that until then there is none."),
    row("others", "enable-owasp-core-rules", Nginx, Unsupported(OFF), "There is no web application firewall. Put one between ingress and backend, and know that until then there is none."),
    row("others", "modsecurity-snippet", Nginx, Unsupported(&[]), "There is no web application firewall."),
    row("others", "modsecurity-transaction-id", Nginx, Unsupported(&[]), "There is no web application firewall."),
    row("others", "configuration-snippet", Nginx, Unsupported(&[]), "There is no nginx to configure. Headers: meshlite.io/request-headers and response-headers; `return`: permanent-redirect; `rewrite`: rewrite-target."),
    row("others", "server-snippet", Nginx, Unsupported(&[]), "There is no nginx to configure. Headers: meshlite.io/request-headers and response-headers; `return`: permanent-redirect; `rewrite`: rewrite-target."),
    row("others", "stream-snippet", Nginx, Unsupported(&[]), "There is no nginx to configure. Serve TCP and UDP with Services."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_annotation_is_there_once_and_says_something() {
        let mut names = BTreeSet::new();
        for known in ALL {
            assert!(names.insert(known.name), "{} is there twice", known.name);
            assert!(known.says.len() > 5, "{}", known.name);
            for full in known.full_names() {
                assert_eq!(find(&full).map(|found| found.name), Some(known.name));
            }
        }
        assert!(find("meshlite.io/ssl-passthrough").is_none());
        assert!(find("nginx.ingress.kubernetes.io/compression").is_none());
        assert!(find("kubernetes.io/ingress.class").is_none());
    }
}
