//! Who asks: the client of a connection, the proxies before it that are believed, and what endpoints are told of both.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

use crate::{certificates::Shown, sanitise::Names};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What else servers read of a request's way. Only a proxy that is believed may say it.
const CLAIMS: [&str; 7] = [
    "forwarded",
    "x-forwarded-prefix",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-original-forwarded-for",
    "x-scheme",
];
/// Headers that endpoints are told of a client in.
const TOLD: usize = 6;
/// Longer ones are replaced: they go to every endpoint and log.
const MAX_REQUEST_ID: usize = 128;

/// What is known of a client, worked out once for each connection.
#[derive(Debug)]
pub(crate) struct Client {
    address: IpAddr,
    ip: HeaderValue,
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
            ip: written(ip),
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
        for value in headers.get_all(FORWARDED_FOR) {
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
        let told = headers.get(FORWARDED_PROTO).filter(|_| self.is_trusted);
        match told.map(HeaderValue::as_bytes) {
            Some(b"https") => "https",
            Some(b"http") => "http",
            _ if self.is_tls => "https",
            _ => "http",
        }
    }

    /// `X-Forwarded-*`, `X-Real-IP` and `X-Request-ID`. Those of a client that is not trusted are replaced.
    ///
    /// `names` are those of the headers that the client sent.
    pub(crate) fn tell(
        &self,
        headers: &mut HeaderMap,
        names: Names,
        port: &HeaderValue,
        trusted: &[IpNet],
    ) {
        let (mut way, mut real) = (self.ip.clone(), self.ip.clone());
        if self.is_trusted {
            let address = self.address(headers, trusted);
            real = HeaderValue::try_from(address.to_string()).unwrap_or(real);
            way = extend(headers, &self.ip);
        } else if names.has(Names::CLAIM) {
            for claim in CLAIMS {
                headers.remove(claim);
            }
        }
        // At once, and not in steps while the six are put in.
        headers.reserve(TOLD);
        headers.insert(FORWARDED_FOR, way);
        headers.insert(REAL_IP, real);
        let proto = HeaderValue::from_static(if self.is_tls { "https" } else { "http" });
        let host = headers.get(header::HOST).cloned();
        let told = [
            (FORWARDED_HOST, host),
            (FORWARDED_PROTO, Some(proto)),
            (FORWARDED_PORT, Some(port.clone())),
        ];
        for (name, value) in told {
            if let Some(value) = value
                && !(self.is_trusted && headers.contains_key(&name))
            {
                headers.insert(name, value);
            }
        }
        ensure_request_id(headers);
    }
}

/// One id, the client's if it is good.
pub(crate) fn ensure_request_id(headers: &mut HeaderMap) {
    if !has_request_id(headers) {
        headers.insert(REQUEST_ID, random_id());
    }
}

/// An address as a header says it. Each connection has one written; the standard library takes as long for that as a head takes to be read.
fn written(ip: IpAddr) -> HeaderValue {
    let text = match ip {
        IpAddr::V4(ip) => {
            let mut text = Vec::with_capacity("255.255.255.255".len());
            for byte in ip.octets() {
                if !text.is_empty() {
                    text.push(b'.');
                }
                if byte >= 100 {
                    text.push(b'0' + byte / 100);
                }
                if byte >= 10 {
                    text.push(b'0' + byte / 10 % 10);
                }
                text.push(b'0' + byte % 10);
            }
            text
        }
        IpAddr::V6(ip) => ip.to_string().into_bytes(),
    };
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("unknown"))
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
fn extend(headers: &HeaderMap, ip: &HeaderValue) -> HeaderValue {
    let mut way = Vec::new();
    for value in headers.get_all(FORWARDED_FOR) {
        way.extend_from_slice(value.as_bytes());
        way.extend_from_slice(b", ");
    }
    way.extend_from_slice(ip.as_bytes());
    HeaderValue::from_bytes(&way).unwrap_or_else(|_| ip.clone())
}

fn has_request_id(headers: &HeaderMap) -> bool {
    // Most requests have none.
    if !headers.contains_key(REQUEST_ID) {
        return false;
    }
    let mut ids = headers.get_all(REQUEST_ID).iter();
    let is_good = |id: &HeaderValue| {
        let is_plain = id.as_bytes().iter().all(u8::is_ascii_graphic);
        is_plain && !id.is_empty() && id.len() <= MAX_REQUEST_ID
    };
    ids.next().is_some_and(is_good) && ids.next().is_none()
}

fn random_id() -> HeaderValue {
    let mut id = [0; 32];
    for digits in id.chunks_exact_mut(8) {
        digits.copy_from_slice(&hexadecimal(fastrand::u32(..)));
    }
    HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("0"))
}

/// The eight digits of a number, all at once: every request has an id made for it.
fn hexadecimal(number: u32) -> [u8; 8] {
    // Each digit in a byte of its own.
    let mut digits = u64::from(number);
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One where it is a letter.
    let letters = ((digits + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    let text = digits + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'9' - 1);
    text.to_be_bytes()
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
        client.tell(&mut headers, names, &80.into(), &trusted);
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
            assert_eq!(headers[REAL_IP], address);
        }
    }

    #[test]
    fn a_trusted_proxy_adds_to_the_way_and_others_begin_it() {
        let sent = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "10.0.0.9"),
        ];
        let (headers, _) = told("10.0.0.1", &sent);
        assert_eq!(headers[FORWARDED_FOR], "1.1.1.1, 10.0.0.9, 10.0.0.1");
        let (headers, _) = told("192.0.2.1", &sent);
        assert_eq!(headers.get_all(FORWARDED_FOR).iter().count(), 1);
        assert_eq!(headers[FORWARDED_FOR], "192.0.2.1");
    }

    #[test]
    fn what_a_client_claims_of_its_way_is_taken_out() {
        let mut sent: Vec<_> = CLAIMS.map(|name| (name, "claim")).into();
        sent.extend([
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "127.0.0.1"),
        ]);
        let (headers, _) = told("192.0.2.1", &sent);
        assert_eq!(headers.len(), 7, "{headers:?}");
        assert_eq!(headers[FORWARDED_HOST], "example.com");
        assert_eq!(headers[FORWARDED_PROTO], "http");
        assert_eq!(headers[FORWARDED_PORT], "80");
        assert_eq!(headers[REAL_IP], "192.0.2.1");
        let (headers, _) = told("10.0.0.1", &sent);
        assert_eq!(headers[FORWARDED_HOST], "evil.example");
        assert_eq!(headers["forwarded"], "claim");
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for byte in 0..=u8::MAX {
            let ip = IpAddr::from([byte, 0, byte, byte]);
            assert_eq!(written(ip), ip.to_string());
        }
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(written(ip), "2001:db8::1");
    }

    #[test]
    fn numbers_are_written_as_hexadecimal_digits() {
        for number in [0, 9, 0xa, 0x1234_5678, 0x9abc_def0, u32::MAX] {
            assert_eq!(hexadecimal(number), *format!("{number:08x}").as_bytes());
        }
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
