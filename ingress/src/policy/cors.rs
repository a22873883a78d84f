//! What scripts of other origins may do: the CORS protocol of the Fetch standard, with the headers that ingress-nginx sends.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};

/// The rule of a route, with its headers made.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Origins,
    /// All headers but the origin's.
    headers: Box<[(HeaderName, HeaderValue)]>,
}

/// The origins that a rule holds for.
#[derive(Debug)]
enum Origins {
    /// Every one, even none.
    Any,
    Listed(Box<[Origin]>),
}

/// An origin, or those with one more label: `https://*.example.com` is `https://` and `.example.com`.
#[derive(Debug)]
struct Origin {
    start: Box<str>,
    /// Present where there is a `*` between the two.
    end: Option<Box<str>>,
}

/// Whom a response may be read by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    origin: HeaderValue,
    /// The same request from another origin has another answer.
    varies: bool,
}

impl Cors {
    /// None where a value is no header value.
    pub(crate) fn new(cors: &meshlite_snapshot::Cors) -> Option<Self> {
        let mut headers = Vec::new();
        let list = |values: &[String]| HeaderValue::try_from(values.join(", ")).ok();
        if cors.allow_credentials {
            let credentials = HeaderValue::from_static("true");
            headers.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials));
        }
        let methods = list(&cors.allow_methods)?;
        headers.push((header::ACCESS_CONTROL_ALLOW_METHODS, methods));
        headers.push((
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            list(&cors.allow_headers)?,
        ));
        if !cors.expose_headers.is_empty() {
            headers.push((
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                list(&cors.expose_headers)?,
            ));
        }
        headers.push((header::ACCESS_CONTROL_MAX_AGE, cors.max_age_seconds.into()));
        let is_any = cors.allow_origins.iter().any(|origin| origin == "*");
        Some(Self {
            origins: if is_any {
                Origins::Any
            } else {
                Origins::Listed(
                    cors.allow_origins
                        .iter()
                        .map(|origin| Origin::new(origin))
                        .collect(),
                )
            },
            headers: headers.into(),
        })
    }

    /// Whether, and to whom, the response to this request is open.
    pub(crate) fn allows(&self, request: &Parts) -> Option<Allowed> {
        let origins = match &self.origins {
            Origins::Any => {
                return Some(Allowed {
                    origin: HeaderValue::from_static("*"),
                    varies: false,
                });
            }
            Origins::Listed(origins) => origins,
        };
        let origin = request.headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        origins
            .iter()
            .any(|listed| listed.is(text))
            .then(|| Allowed {
                origin: origin.clone(),
                varies: true,
            })
    }

    /// Whether this is a question about a request that a script wants to make.
    pub(crate) fn is_preflight(request: &Parts) -> bool {
        request.method == Method::OPTIONS
    }

    /// Says it in a response, in place of what the endpoint said.
    pub(crate) fn tell(&self, allowed: Option<Allowed>, headers: &mut HeaderMap) {
        let Some(Allowed { origin, varies }) = allowed else {
            if let Origins::Listed(_) = self.origins {
                headers.append(header::VARY, HeaderValue::from_static("Origin"));
            }
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        if varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }
}

impl Origin {
    fn new(origin: &str) -> Self {
        let (start, end) = match origin.split_once('*') {
            Some((start, end)) => (start, Some(end.to_ascii_lowercase().into())),
            None => (origin, None),
        };
        Self {
            start: start.to_ascii_lowercase().into(),
            end,
        }
    }

    fn is(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let Some(end) = &self.end else {
            return *origin == *self.start;
        };
        let label = origin.strip_prefix(&*self.start);
        let label = label.and_then(|rest| rest.strip_suffix(&**end));
        label.is_some_and(|label| {
            let is_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !label.is_empty() && label.bytes().all(is_label)
        })
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn allowed(origins: &[&str], origin: &str) -> Option<String> {
        let cors = Cors::new(&meshlite_snapshot::Cors {
            allow_origins: origins.iter().map(|&origin| origin.into()).collect(),
            allow_methods: vec!["GET".into(), "PUT".into()],
            allow_headers: vec![],
            expose_headers: vec![],
            allow_credentials: true,
            max_age_seconds: 60,
        });
        let request = Request::get("/").header("origin", origin).body(()).unwrap();
        let allowed = cors.unwrap().allows(&request.into_parts().0)?;
        Some(allowed.origin.to_str().unwrap().to_owned())
    }

    #[test]
    fn an_origin_is_listed_or_has_one_label_for_the_star() {
        let listed = ["https://shop.example.com:8443", "https://*.Example.com"];
        for good in [
            "https://shop.example.com:8443",
            "https://a.example.com",
            "https://A-1.example.com",
        ] {
            assert_eq!(allowed(&listed, good).as_deref(), Some(good));
        }
        for bad in [
            "https://example.com",
            "https://.example.com",
            "https://a.b.example.com",
            "http://a.example.com",
            "https://evil.com/.example.com",
            "https://a.example.com.evil.com",
            "https://a.example.com:8443",
            "https://evil.com#.example.com",
            "null",
            "",
        ] {
            assert_eq!(allowed(&listed, bad), None, "{bad}");
        }
    }

    #[test]
    fn for_every_origin_the_answer_is_a_star() {
        assert_eq!(allowed(&["*"], "https://a.example").as_deref(), Some("*"));
    }
}
