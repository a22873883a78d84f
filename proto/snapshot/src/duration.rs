//! Lengths of time as Kubernetes writes them, which is as Go does: `1h30m`, `1.5s`, `250ms`.

use std::time::Duration;

/// Units, in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
];

/// One or more decimal numbers, each with its unit, or `0`. Nothing else, nothing below 0, and nothing above 292 years.
/// Source: Go's `time.ParseDuration`.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanoseconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at_checked(unit.unwrap_or(after.len()))?;
        let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let part = part_of(fraction, size);
        nanoseconds = nanoseconds
            .checked_add(whole.checked_mul(size)?)?
            .checked_add(part)?;
        rest = after;
    }
    // What Go can hold, which is 292 years.
    let fits = !text.is_empty() && i64::try_from(nanoseconds).is_ok();
    fits.then(|| Duration::from_nanos(nanoseconds))
}

/// The duration as Go prints it from a second on: `1h30m0s`.
pub fn print(duration: Duration) -> String {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = format!("{seconds}.{nanoseconds:09}");
    let seconds = fraction.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

/// A decimal fraction of a unit, in nanoseconds; what is smaller than one is cut off.
fn part_of(fraction: &str, size: u64) -> u64 {
    let mut part = 0;
    let mut scale = size;
    for digit in fraction.bytes() {
        scale /= 10;
        part += u64::from(digit - b'0') * scale;
    }
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("30s", Some(30_000_000_000)),
            ("2h22m", Some(8_520_000_000_000)),
            ("1h0m0s", Some(3_600_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5m", Some(30_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("1m500ms", Some(60_500_000_000)),
            ("7\u{b5}s", Some(7_000)),
            ("+1s", Some(1_000_000_000)),
            ("", None),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1 s", None),
            ("1d", None),
            (".s", None),
            ("9999999999h", None),
        ] {
            let expected = nanoseconds.map(Duration::from_nanos);
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same(seconds in 0_u64..10_000_000, nanoseconds in 0_u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanoseconds);
            prop_assert_eq!(parse(&print(duration)), Some(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9.a-z+\u{b5}-]{0,40}") {
            parse(&text);
        }
    }
}
