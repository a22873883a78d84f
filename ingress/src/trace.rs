//! Traces: which one a request belongs to, and, where a collector is configured, spans of the ingress in it.
//!
//! ```text
//! request ─> Traced ── its response has ended ──> queue (bounded) ──> exporter ─> OTLP collector
//! ```
//!
//! Without a collector, the W3C's trace context passes through as it is.

mod context;
mod export;
pub(crate) mod otlp;
mod sampler;
mod span;

use http::HeaderValue;

pub use self::sampler::Sampler;
pub(crate) use self::{context::Context, export::Spans, span::Traced};

/// Where spans of requests go.
#[derive(Clone, Debug)]
pub struct Tracing {
    /// The collector, as a URL: OTLP over gRPC, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// What the spans say they are of: `service.name`.
    pub service: String,
    /// Which requests are traced.
    pub sampler: Sampler,
}

/// The trace that a `traceparent` header names, if it is a valid one: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
pub(crate) fn trace_id(parent: &HeaderValue) -> Option<&str> {
    let text = parent.to_str().ok()?;
    let mut fields = text.split('-');
    let (version, trace) = (fields.next()?, fields.next()?);
    let (span, flags) = (fields.next()?, fields.next()?);
    let is_hex = |field: &str, digits: usize| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        field.len() == digits && field.bytes().all(is_digit)
    };
    let is_zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    // Later versions may have more fields.
    let is_known = version != "ff" && (version != "00" || fields.next().is_none());
    let is_valid = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    (is_known && is_valid && !is_zero(trace) && !is_zero(span)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn read(parent: &str) -> Option<String> {
        trace_id(&HeaderValue::from_str(parent).unwrap()).map(ToOwned::to_owned)
    }

    #[test]
    fn a_valid_context_names_its_trace() {
        let good = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(read(&good).as_deref(), Some(TRACE));
        let later = format!("01-{TRACE}-00f067aa0ba902b7-01-more");
        assert_eq!(read(&later).as_deref(), Some(TRACE));
        for bad in [
            "",
            "00",
            &good.to_uppercase(),
            &format!("{good}-more"),
            &good.replacen("00", "ff", 1),
            &good.replace(TRACE, &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &good.replace(TRACE, "4bf92f"),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read(value in prop::collection::vec(0x20_u8..=0xff, 0..70)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                trace_id(&value);
            }
        }
    }
}
