//! The W3C's trace context: `traceparent`, read from anybody and written for endpoints.

use http::HeaderValue;

/// What a `traceparent` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) is_sampled: bool,
}

impl Context {
    /// None where it is not valid.
    pub(super) fn read(header: &HeaderValue) -> Option<Self> {
        let trace = super::trace_id(header)?;
        let mut fields = header.to_str().ok()?.split('-').skip(2);
        let (span, flags) = (fields.next()?, fields.next()?);
        Some(Self {
            trace: u128::from_str_radix(trace, 16).ok()?.to_be_bytes(),
            span: u64::from_str_radix(span, 16).ok()?.to_be_bytes(),
            is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        })
    }
}

/// The header that makes a sampled span the parent of what an endpoint does.
pub(super) fn write(trace: [u8; 16], span: [u8; 8]) -> String {
    let (trace, span) = (u128::from_be_bytes(trace), u64::from_be_bytes(span));
    format!("00-{trace:032x}-{span:016x}-01")
}

pub(super) fn new_trace() -> [u8; 16] {
    fastrand::u128(1..).to_be_bytes()
}

pub(super) fn new_span() -> [u8; 8] {
    fastrand::u64(1..).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(trace in 1_u128.., span in 1_u64..) {
            let (trace, span) = (trace.to_be_bytes(), span.to_be_bytes());
            let header = HeaderValue::try_from(write(trace, span)).unwrap();
            let read = Context::read(&header);
            prop_assert_eq!(read, Some(Context { trace, span, is_sampled: true }));
        }
    }
}
