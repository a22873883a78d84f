//! A route's policy, checked and made ready when the table is built.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use meshlite_snapshot::{LoadBalancing, Name, Snapshot, UpstreamProtocol, UpstreamTls};

use super::{
    Policy,
    access::AccessList,
    basic::BasicAuth,
    canary::Canary,
    cors::Cors,
    error_pages::ErrorPages,
    external::{ExternalAuth, Server, Signin},
    limits::Limits,
    template::Template,
};
use crate::table::{Cluster, Groups, Places, Refused, Shares};

impl Policy {
    pub(crate) fn new(
        policy: &meshlite_snapshot::Policy,
        route: &meshlite_snapshot::Route,
        places: &mut Places,
    ) -> Result<Self, Refused> {
        let invalid = |what: &str| Refused::Invalid(format!("{}: {what}", route.owner));
        let meshlite_snapshot::Policy {
            https_redirect,
            access,
            limits,
            cors,
            canaries,
            retry: _,
            error_pages,
            default_backend,
            compression,
            no_access_log,
            allow_encoded_slashes,
            forwarded_prefix,
        } = policy;
        let redirect = |status: &u16| {
            let status = StatusCode::from_u16(*status).ok();
            let status = status.filter(StatusCode::is_redirection);
            status.ok_or_else(|| invalid("the redirect to HTTPS has a status that is none"))
        };
        let basic = |basic: &meshlite_snapshot::BasicAuth, places: &mut Places| {
            let auth = BasicAuth::new(&basic.realm);
            let auth = auth.ok_or_else(|| invalid("a realm is not text"))?;
            Ok((auth, places.credential(&basic.users)))
        };
        let external = |external: &meshlite_snapshot::ExternalAuth, places: &mut Places| {
            ExternalAuth::new(external, places).map_err(|what| invalid(&what))
        };
        let pages = |pages: &meshlite_snapshot::ErrorPages, places: &mut Places| {
            let made = ErrorPages::new(pages, route, places.cluster(&pages.cluster));
            made.ok_or_else(|| invalid("an error page is for a status that is no error's"))
        };
        let canary = |canary: &meshlite_snapshot::Canary| {
            let shares = Shares::new(&canary.backends, |name| places.cluster(name));
            Canary::new(canary, shares).map_err(|what| invalid(&what))
        };
        Ok(Self {
            canaries: canaries.iter().map(canary).collect::<Result<_, _>>()?,
            https_redirect: https_redirect.as_ref().map(redirect).transpose()?,
            list: AccessList::new(&access.allow, &access.deny),
            satisfy_any: access.satisfy_any,
            basic: (access.basic.as_ref())
                .map(|auth| basic(auth, places))
                .transpose()?,
            external: (access.external.as_ref())
                .map(|auth| external(auth, places))
                .transpose()?,
            limits: Limits::new(limits, &route.owner),
            body_bytes: limits.body_bytes,
            cors: (cors.as_ref())
                .map(|cors| Cors::new(cors).ok_or_else(|| invalid("a CORS header is not one")))
                .transpose()?,
            default_backend: default_backend.as_ref().map(|name| places.cluster(name)),
            error_pages: error_pages
                .as_ref()
                .map(|made| pages(made, places))
                .transpose()?,
            compression: *compression,
            no_access_log: *no_access_log,
            allow_encoded_slashes: *allow_encoded_slashes,
            forwarded_prefix: forwarded_prefix.as_deref().map(Groups::new),
        })
    }
}

impl ExternalAuth {
    /// The error is for people.
    fn new(auth: &meshlite_snapshot::ExternalAuth, places: &mut Places) -> Result<Self, String> {
        let (is_tls, rest) = match auth.url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) | None => return Err("an authentication URL is not http:// or https://".into()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or_default();
        let parsed: Option<http::uri::Authority> = authority.parse().ok();
        let parsed = parsed.filter(|parsed| !parsed.host().is_empty() && !authority.contains('@'));
        let parsed = parsed.ok_or_else(|| {
            format!("the host of an authentication URL is not one: {authority:?}")
        })?;
        let server = match &auth.cluster {
            Some(name) => Server::Named(places.cluster(name)),
            None => Server::Own(own_cluster(&parsed, is_tls)?),
        };
        let header = |name: &String| {
            let parsed = HeaderName::from_bytes(name.as_bytes());
            parsed.map_err(|_invalid| format!("a header of authentication is not one: {name:?}"))
        };
        let method = auth.method.as_deref().unwrap_or("GET");
        let slash = if target.starts_with('/') { "" } else { "/" };
        let signin = auth.signin.as_ref().map(|url| {
            let parameter = &auth.signin_redirect_param;
            let has_it =
                url.contains(&format!("?{parameter}=")) || url.contains(&format!("&{parameter}="));
            Signin {
                url: Template::new(url),
                back: (!has_it && !parameter.is_empty()).then(|| parameter.as_str().into()),
            }
        });
        Ok(Self {
            server,
            authority: HeaderValue::from_str(authority)
                .map_err(|_invalid| "the host of an authentication URL is not one".to_owned())?,
            target: Template::new(&format!("{slash}{target}")),
            method: Method::from_bytes(method.as_bytes())
                .map_err(|_invalid| format!("a method of authentication is not one: {method:?}"))?,
            request_headers: (auth.request_headers.iter())
                .map(|(name, value)| Ok((header(name)?, Template::new(value))))
                .collect::<Result<_, String>>()?,
            response_headers: auth
                .response_headers
                .iter()
                .map(header)
                .collect::<Result<_, _>>()?,
            signin,
            always_set_cookie: auth.always_set_cookie,
            timeout: auth.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
        })
    }
}

/// A host outside of the table. Over TLS its certificate has to be good.
fn own_cluster(
    authority: &http::uri::Authority,
    is_tls: bool,
) -> Result<std::sync::Arc<Cluster>, String> {
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let name = Name::namespaced("authentication", &host).map_err(|error| error.to_string())?;
    let port = authority
        .port_u16()
        .unwrap_or(if is_tls { 443 } else { 80 });
    let cluster = meshlite_snapshot::Cluster {
        namespace: "authentication".into(),
        service: host.clone(),
        port: Some(port),
        port_name: String::new(),
        protocol: if is_tls {
            UpstreamProtocol::Https
        } else {
            UpstreamProtocol::Http1
        },
        load_balancing: LoadBalancing::RoundRobin,
        external_name: Some(host.clone()),
        hash_by: vec![],
        sticky: None,
        tls: is_tls.then(|| UpstreamTls {
            verify: true,
            server_name: Some(host.clone()),
            ..UpstreamTls::default()
        }),
        connect_timeout_ms: None,
        virtual_ips: vec![],
        send_proxy_protocol: None,
    };
    let now = tokio::time::Instant::now();
    Ok(Cluster::new(
        &name,
        &cluster,
        &Snapshot::default(),
        None,
        now,
    ))
}
