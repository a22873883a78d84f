//! A guard in front of the parser, whose time grows with the square of the depth of brackets.

/// Deeper than any object; the parser's own limit, which it checks too late, is 128.
const MAX_DEPTH: usize = 256;

/// Whether brackets are nested deeper than anything that can be read.
pub(super) fn is_too_deep(text: &[u8]) -> bool {
    let brackets = memchr::memchr2_iter(b'[', b'{', text);
    if brackets.take(MAX_DEPTH + 1).count() <= MAX_DEPTH {
        return false;
    }
    let mut depth = 0_usize;
    text.iter().any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_brackets_are_fine_but_not_inside_each_other() {
        assert!(!is_too_deep("[{}] ".repeat(1000).as_bytes()));
        assert!(!is_too_deep("[".repeat(MAX_DEPTH).as_bytes()));
        assert!(is_too_deep("{a: [".repeat(MAX_DEPTH).as_bytes()));
    }
}
