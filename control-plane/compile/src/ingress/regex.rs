//! Regular expressions of paths and headers, checked as the ingress will read them.

use regex::RegexBuilder;

/// The most bytes that a compiled expression may take, so that none takes the memory of all.
const MAX_BYTES: usize = 1 << 20;
const MAX_LENGTH: usize = 4096;

/// Says what is wrong with an expression. PCRE's look-around and back-references are not there: they can take time
/// without bounds.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    if pattern.len() > MAX_LENGTH {
        return Err(format!("is longer than {MAX_LENGTH} bytes"));
    }
    let built = RegexBuilder::new(pattern)
        .size_limit(MAX_BYTES)
        .case_insensitive(true)
        .build();
    built.map(drop).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        format!(
            "is not a regular expression that is served here: {}",
            last.trim()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_need_unbounded_time_or_memory_are_refused() {
        assert_eq!(check("/api(/|$)(.*)"), Ok(()));
        for bad in [
            "/(?!admin)",
            r"(a)\1",
            "(",
            "a{1000}{1000}{1000}",
            &"a".repeat(5000),
        ] {
            assert!(check(bad).is_err(), "{bad:.40}");
        }
    }
}
