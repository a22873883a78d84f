//! What an endpoint is told of a client, apart from what the client said itself. Pure.

use std::{io::Write as _, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::http1::put_field;

pub(super) static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) static FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes of the longest IPv6 address.
const MAX_ADDRESS: usize = 39;

/// What an endpoint is told of a client, ready to be written: most requests are read by nobody else once this is known.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(super) ip: &'a Text,
    pub(super) is_tls: bool,
    pub(super) host: Option<HeaderValue>,
    pub(super) port: &'a HeaderValue,
    /// None where the client's own is among its headers.
    pub(super) id: Option<RequestId>,
}

/// An address as headers say it. Each connection has one written; the standard library takes as long for that as a head takes to
/// be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    bytes: [u8; MAX_ADDRESS],
    length: usize,
}

/// The id of a request that came without one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestId([u8; 32]);

impl Told<'_> {
    fn fields(&self) -> impl Iterator<Item = (&'static HeaderName, &[u8])> {
        let proto = if self.is_tls { "https" } else { "http" };
        let ip = self.ip.as_bytes();
        let fields = [
            (&FORWARDED_FOR, Some(ip)),
            (&REAL_IP, Some(ip)),
            (
                &FORWARDED_HOST,
                self.host.as_ref().map(HeaderValue::as_bytes),
            ),
            (&FORWARDED_PROTO, Some(proto.as_bytes())),
            (&FORWARDED_PORT, Some(self.port.as_bytes())),
            (&REQUEST_ID, self.id.as_ref().map(|id| id.0.as_slice())),
        ];
        (fields.into_iter()).filter_map(|(name, value)| Some((name, value?)))
    }

    /// Says it on the wire.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in self.fields() {
            put_field(name.as_str().as_bytes(), value, out);
        }
    }

    /// Says it in headers that somebody reads or changes.
    pub(crate) fn put_in(&self, headers: &mut HeaderMap) {
        // At once, and not in steps while they are put in.
        headers.reserve(6);
        for (name, value) in self.fields() {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.insert(name, value);
            }
        }
    }

    /// The request's id, where the client had none.
    pub(crate) fn id(&self) -> Option<HeaderValue> {
        self.id.map(RequestId::value)
    }
}

impl Text {
    pub(super) fn of(ip: IpAddr) -> Self {
        let mut text = Self {
            bytes: [0; MAX_ADDRESS],
            length: 0,
        };
        match ip {
            IpAddr::V4(ip) => {
                for byte in ip.octets() {
                    if text.length > 0 {
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
            }
            IpAddr::V6(ip) => {
                let mut rest = text.bytes.as_mut_slice();
                // There is room for any.
                drop(write!(rest, "{ip}"));
                text.length = MAX_ADDRESS - rest.len();
            }
        }
        text
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    pub(super) fn value(self) -> HeaderValue {
        let value = HeaderValue::from_bytes(self.as_bytes());
        value.unwrap_or(HeaderValue::from_static("unknown"))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl RequestId {
    pub(super) fn random() -> Self {
        let mut id = [0; 32];
        let mut numbers = fastrand::Rng::new();
        for digits in id.chunks_exact_mut(8) {
            digits.copy_from_slice(&hexadecimal(numbers.u32(..)));
        }
        Self(id)
    }

    pub(super) fn value(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static("0"))
    }
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

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for byte in 0..=u8::MAX {
            let ip = IpAddr::from([byte, 0, byte, byte]);
            assert_eq!(Text::of(ip).as_bytes(), ip.to_string().as_bytes());
        }
        let longest = "1234:5678:9abc:def0:1234:5678:9abc:def0";
        assert_eq!(longest.len(), MAX_ADDRESS);
        for ip in ["2001:db8::1", longest, "::1.2.3.4", "64:ff9b::192.0.2.1"] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(Text::of(ip).as_bytes(), ip.to_string().as_bytes());
        }
    }

    #[test]
    fn numbers_are_written_as_hexadecimal_digits() {
        for number in [0, 9, 0xa, 0x1234_5678, 0x9abc_def0, u32::MAX] {
            assert_eq!(hexadecimal(number), *format!("{number:08x}").as_bytes());
        }
    }

    #[test]
    fn an_endpoint_reads_the_same_as_whoever_reads_headers() {
        let (v4, v6) = ([192, 0, 2, 7].into(), "2001:db8::1".parse().unwrap());
        for ip in [v4, v6] {
            for has_all in [true, false] {
                let (ip, port) = (Text::of(ip), HeaderValue::from(8443));
                let told = Told {
                    ip: &ip,
                    is_tls: has_all,
                    host: has_all.then(|| HeaderValue::from_static("example.com")),
                    port: &port,
                    id: has_all.then(RequestId::random),
                };
                let (mut written, mut headers) = (Vec::new(), HeaderMap::new());
                told.write(&mut written);
                told.put_in(&mut headers);
                let mut read = Vec::new();
                for (name, value) in &headers {
                    put_field(name.as_str().as_bytes(), value.as_bytes(), &mut read);
                }
                assert_eq!(written, read);
                assert_eq!(headers.get(&REQUEST_ID), told.id().as_ref());
                assert_eq!(headers.len(), if has_all { 6 } else { 4 });
            }
        }
    }
}
