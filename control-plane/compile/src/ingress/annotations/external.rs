//! Another server's word on each request (`auth-url` and what belongs to it).

use meshlite_snapshot::ExternalAuth;

use super::{Asked, headers, reference, written::Written};

const METHODS: [(&str, &str); 7] = [
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("PATCH", "PATCH"),
    ("DELETE", "DELETE"),
    ("OPTIONS", "OPTIONS"),
];

pub(super) fn read(written: &mut Written<'_, '_>, asked: &mut Asked) {
    let Some(value) = written.value("auth-url") else {
        return;
    };
    let Some(url) = reference::url(value.text) else {
        written.close(&value, "is not a URL: http(s)://host[:port]/path");
        return;
    };
    let cluster = url
        .service()
        .map(|target| asked.target(value.field.clone(), target));
    let method = written.protecting_choice("auth-method", &METHODS);
    let signin = written.value("auth-signin").and_then(|signin| {
        let is_good = reference::is_location(signin.text);
        if !is_good {
            written.invalid(&signin, "is not a URL");
        }
        is_good.then(|| signin.text.to_owned())
    });
    let parameter = written.value("auth-signin-redirect-param");
    let redirect = written.value("auth-request-redirect");
    asked.policy.access.external = Some(ExternalAuth {
        url: value.text.to_owned(),
        cluster,
        method: method.map(str::to_owned),
        request_headers: redirect
            .map(|to| ("X-Auth-Request-Redirect".to_owned(), to.text.to_owned()))
            .into_iter()
            .collect(),
        response_headers: headers::names(written, "auth-response-headers"),
        signin,
        signin_redirect_param: parameter.map_or("rd", |name| name.text).to_owned(),
        always_set_cookie: written.flag("auth-always-set-cookie").unwrap_or_default(),
        timeout_ms: None,
    });
}
