//! Who asks: the client of a connection, the proxies before it that are believed, and what endpoints are told of both.

mod told;

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};
use ipnet::IpNet;

use self::told::{
    FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PROTO, REAL_IP, RequestId, Text,
};
pub(crate) use self::told::{REQUEST_ID, Told};
use crate::{certificates::Shown, sanitise::Names};

/// What servers read of a request's way. Only a proxy that is believed may say it.
const CLAIMS: [&str; 12] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-original-forwarded-for",
    "x-real-ip",
    "x-scheme",
];
/// Longer ones are replaced: they go to every endpoint and log.
const MAX_REQUEST_ID: usize = 128;

/// What is known of a client, worked out once for each connection.
#[derive(Debug)]
pub(crate) struct Client {
    address: IpAddr,
    ip: Text,
    is_trusted: bool,
    pub(crate) is_tls: bool,
    /// What it has shown, where its listener asks for certificates.
    pub(crate) certificate: Option<Box<Shown>>,
}

impl Client {
    pub(crate) fn new(ip: IpAddr, is_tls: bool, trusted: &[IpNet]) -> Self {
        let ip = ip.to_canonical();
        Self {
            address: ip,
            ip: Text::of(ip),
            is_trusted: is_trusted(ip, trusted),
            is_tls,
            certificate: None,
        }
    }

    /// Whether it is a proxy that is believed.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The address that rules are about: the last one on the request's way that no trusted proxy has.
    pub(crate) fn address(&self, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
        if !self.is_trusted {
            return self.address;
        }
        let mut way = Vec::new();
        for value in headers.get_all(&FORWARDED_FOR) {
            way.extend(value.as_bytes().split(|byte| *byte == b','));
        }
        let mut known = self.address;
        for address in way.into_iter().rev() {
            let text = std::str::from_utf8(address.trim_ascii()).unwrap_or_default();
            // What stands before something that is no address may be anybody's claim.
            let Ok(address) = text.parse::<IpAddr>() else {
                break;
            };
            known = address.to_canonical();
            if !is_trusted(known, trusted) {
                break;
            }
        }
        known
    }

    /// What the client spoke to the first proxy that is believed.
    pub(crate) fn scheme(&self, headers: &HeaderMap) -> &'static str {
        let told = headers.get(&FORWARDED_PROTO).filter(|_| self.is_trusted);
        match told.map(HeaderValue::as_bytes) {
            Some(b"https") => "https",
            Some(b"http") => "http",
            _ if self.is_tls => "https",
            _ => "http",
        }
    }

    /// `X-Forwarded-*`, `X-Real-IP` and `X-Request-ID`: what a client may not say of itself is taken out of its headers, and what is to be
    /// said instead is given. Of a proxy that is believed they are in the headers at once.
    ///
    /// `names` are those of the headers that the client sent.
    pub(crate) fn tell<'a>(
        &'a self,
        headers: &mut HeaderMap,
        names: Names,
        port: &'a HeaderValue,
        trusted: &[IpNet],
    ) -> Option<Told<'a>> {
        if self.is_trusted {
            self.pass_on(headers, port, trusted);
            return None;
        }
        if names.has(Names::CLAIM) {
            for claim in CLAIMS {
                headers.remove(claim);
            }
        }
        let keeps_id = keep_request_id(headers);
        Some(Told {
            ip: &self.ip,
            is_tls: self.is_tls,
            host: headers.get(header::HOST).cloned(),
            port,
            id: (!keeps_id).then(RequestId::random),
        })
    }

    /// Adds to what a proxy said that is believed.
    fn pass_on(&self, headers: &mut HeaderMap, port: &HeaderValue, trusted: &[IpNet]) {
        let address = Text::of(self.address(headers, trusted)).value();
        let way = extend(headers, self.ip);
        headers.insert(&FORWARDED_FOR, way);
        headers.insert(&REAL_IP, address);
        let proto = HeaderValue::from_static(if self.is_tls { "https" } else { "http" });
        let host = headers.get(header::HOST).cloned();
        let told = [
            (&FORWARDED_HOST, host),
            (&FORWARDED_PROTO, Some(proto)),
            (&FORWARDED_PORT, Some(port.clone())),
        ];
        for (name, value) in told {
            if let Some(value) = value
                && !headers.contains_key(name)
            {
                headers.insert(name, value);
            }
        }
        ensure_request_id(headers);
    }
}

/// One id, the client's if it is good.
pub(crate) fn ensure_request_id(headers: &mut HeaderMap) {
    if !keep_request_id(headers) {
        headers.insert(&REQUEST_ID, RequestId::random().value());
    }
}

fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&ip))
}

/// Whether only a proxy that is believed may say this header.
pub(crate) fn is_claim(name: &str) -> bool {
    // Few begin so.
    matches!(name.as_bytes(), [b'f' | b'x', ..]) && CLAIMS.contains(&name)
}

/// The request's way with one more address.
fn extend(headers: &HeaderMap, ip: Text) -> HeaderValue {
    let mut way = Vec::new();
    for value in headers.get_all(&FORWARDED_FOR) {
        way.extend_from_slice(value.as_bytes());
        way.extend_from_slice(b", ");
    }
    way.extend_from_slice(ip.as_bytes());
    HeaderValue::from_bytes(&way).unwrap_or_else(|_| ip.value())
}

/// Whether there is an id, and a good one. Any other is taken out.
fn keep_request_id(headers: &mut HeaderMap) -> bool {
    // Most requests have none.
    if !headers.contains_key(&REQUEST_ID) {
        return false;
    }
    let mut ids = headers.get_all(&REQUEST_ID).iter();
    let is_good = |id: &HeaderValue| {
        let is_plain = id.as_bytes().iter().all(u8::is_ascii_graphic);
        is_plain && !id.is_empty() && id.len() <= MAX_REQUEST_ID
    };
    let keeps = ids.next().is_some_and(is_good) && ids.next().is_none();
    if !keeps {
        headers.remove(&REQUEST_ID);
    }
    keeps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(from: &str, sent: &[(&'static str, &str)]) -> (HeaderMap, IpAddr) {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let client = Client::new(from.parse().unwrap(), false, &trusted);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("example.com"));
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let address = client.address(&headers, &trusted);
        let names = Names::of(&headers);
        if let Some(told) = client.tell(&mut headers, names, &80.into(), &trusted) {
            told.put_in(&mut headers);
        }
        (headers, address)
    }

    #[test]
    fn the_address_is_the_last_one_that_no_trusted_proxy_has() {
        for (from, way, address) in [
            ("10.0.0.1", "1.1.1.1, 192.0.2.7, 10.0.0.9", "192.0.2.7"),
            ("10.0.0.1", "10.0.0.8, 10.0.0.9", "10.0.0.8"),
            ("10.0.0.1", "1.1.1.1, unknown, 10.0.0.9", "10.0.0.9"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "::ffff:192.0.2.7", "192.0.2.7"),
            ("192.0.2.1", "1.1.1.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "1.1.1.1", "192.0.2.1"),
        ] {
            let (headers, found) = told(from, &[("x-forwarded-for", way)]);
            assert_eq!(found, address.parse::<IpAddr>().unwrap(), "{from} {way}");
            assert_eq!(headers[&REAL_IP], address);
        }
    }

    #[test]
    fn a_trusted_proxy_adds_to_the_way_and_others_begin_it() {
        let sent = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "10.0.0.9"),
        ];
        let (headers, _) = told("10.0.0.1", &sent);
        assert_eq!(headers[&FORWARDED_FOR], "1.1.1.1, 10.0.0.9, 10.0.0.1");
        let (headers, _) = told("192.0.2.1", &sent);
        assert_eq!(headers.get_all(&FORWARDED_FOR).iter().count(), 1);
        assert_eq!(headers[&FORWARDED_FOR], "192.0.2.1");
    }

    #[test]
    fn what_a_client_claims_of_its_way_is_taken_out() {
        let sent = CLAIMS.map(|name| match name {
            "x-forwarded-host" => (name, "evil.example"),
            "x-forwarded-proto" => (name, "https"),
            "x-forwarded-port" => (name, "443"),
            "x-real-ip" => (name, "127.0.0.1"),
            name => (name, "claim"),
        });
        let (headers, _) = told("192.0.2.1", &sent);
        assert_eq!(headers.len(), 7, "{headers:?}");
        assert_eq!(headers[&FORWARDED_HOST], "example.com");
        assert_eq!(headers[&FORWARDED_PROTO], "http");
        assert_eq!(headers[&FORWARDED_PORT], "80");
        assert_eq!(headers[&REAL_IP], "192.0.2.1");
        let (headers, _) = told("10.0.0.1", &sent);
        assert_eq!(headers[&FORWARDED_HOST], "evil.example");
        assert_eq!(headers["forwarded"], "claim");
    }

    #[test]
    fn request_ids_are_kept_where_they_are_good_and_differ_where_made() {
        const NAME: &str = "x-request-id";
        let id = |sent: &[(&'static str, &str)]| told("192.0.2.1", sent).0[NAME].clone();
        assert_eq!(id(&[(NAME, "abc-1")]), "abc-1");
        assert_ne!(id(&[]), id(&[]));
        for bad in ["", "a b", &"x".repeat(200)] {
            assert_eq!(id(&[(NAME, bad)]).len(), 32);
        }
    }
}
