//! Regular expressions that configuration brings: bounded in size when they are compiled, linear in time when they match.

use regex::{Captures, Regex, RegexBuilder};

use crate::pieces::{Piece, split};

/// The compiled size of one expression; what is larger is refused.
const MAX_COMPILED: usize = 256 * 1024;
/// Memory that matching one expression may take for its cache of states.
const MAX_CACHE: usize = 64 * 1024;
/// Characters that mean something in an expression.
const SPECIAL: &[char] = &[
    '\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$', '#', '&', '-', '~',
];

/// A path expression that holds where the path starts with a match of it.
#[derive(Debug)]
pub(crate) enum Pattern {
    /// The expression is plain text.
    Text {
        text: Box<str>,
        ignore_case: bool,
    },
    Regex(Regex),
}

/// A replacement of the whole path, for one that an expression matches.
#[derive(Debug)]
pub(crate) struct Substitution {
    pattern: Regex,
    with: Groups,
}

/// Text with `$0` to `$9` in it, also in braces: what the groups of an expression found.
#[derive(Debug)]
pub(crate) struct Groups(Box<[Piece<usize>]>);

// === impl Pattern ===

impl Pattern {
    /// An expression that is anchored at the start. The error is for people.
    pub(super) fn at_start(expression: &str, ignore_case: bool) -> Result<Self, String> {
        if !expression.contains(SPECIAL) && expression.is_ascii() {
            return Ok(Self::Text {
                text: expression.into(),
                ignore_case,
            });
        }
        compile(&format!("^(?:{expression})"), ignore_case).map(Self::Regex)
    }

    /// Whether a path starts with a match.
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Text { text, ignore_case } => {
                let start = path.as_bytes().get(..text.len());
                start.is_some_and(|start| {
                    if *ignore_case {
                        start.eq_ignore_ascii_case(text.as_bytes())
                    } else {
                        start == text.as_bytes()
                    }
                })
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

/// An expression that may match anywhere. The error is for people.
fn compile(expression: &str, ignore_case: bool) -> Result<Regex, String> {
    let built = RegexBuilder::new(expression)
        .case_insensitive(ignore_case)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_CACHE)
        .build();
    built.map_err(|error| said(expression, &error))
}

/// An expression over bytes, which may match anywhere. The error is for people.
pub(crate) fn bytes(expression: &str) -> Result<regex::bytes::Regex, String> {
    let built = regex::bytes::RegexBuilder::new(expression)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_CACHE)
        .build();
    built.map_err(|error| said(expression, &error))
}

/// An expression over bytes that has to match a whole value. The error is for people.
pub(super) fn whole(expression: &str) -> Result<regex::bytes::Regex, String> {
    bytes(&format!("^(?:{expression})$"))
}

fn said(expression: &str, error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(limit) = error {
        return format!("expression {expression:?} is too large: more than {limit} bytes compiled");
    }
    let error = error.to_string();
    let last = error.lines().last().unwrap_or_default().trim();
    format!("expression {expression:?} is not valid: {last}")
}

// === impl Substitution ===

impl Substitution {
    pub(super) fn new(pattern: &str, with: &str, ignore_case: bool) -> Result<Self, String> {
        Ok(Self {
            pattern: compile(pattern, ignore_case)?,
            with: Groups::new(with),
        })
    }

    /// The new path, perhaps with a query; none where the expression does not match. A group that took no part is empty.
    pub(super) fn apply(&self, path: &str) -> Option<String> {
        let captures = self.pattern.captures(path)?;
        let mut replaced = self.with.fill(&captures);
        if !replaced.starts_with('/') {
            replaced.insert(0, '/');
        }
        Some(replaced)
    }
}

// === impl Groups ===

impl Groups {
    /// A `$` that no digit follows is itself.
    pub(crate) fn new(text: &str) -> Self {
        Self(split(text, group))
    }

    /// The text where there are no groups: references are empty.
    pub(super) fn plain(&self) -> String {
        let mut plain = String::new();
        for piece in &self.0 {
            if let Piece::Text(text) = piece {
                plain.push_str(text);
            }
        }
        plain
    }

    pub(super) fn fill(&self, captures: &Captures<'_>) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            filled.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Reference(index) => captures.get(*index).map_or("", |found| found.as_str()),
            });
        }
        filled
    }
}

/// The group that this text starts with a reference to, and what follows.
fn group(text: &str) -> Option<(usize, &str)> {
    let rest = text.strip_prefix('$')?;
    let digit = |text: &str| text.chars().next()?.to_digit(10)?.try_into().ok();
    if let Some((inner, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return (inner.len() == 1).then_some((digit(inner)?, after));
    }
    Some((digit(rest)?, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(expression: &str, ignore_case: bool, path: &str) -> bool {
        Pattern::at_start(expression, ignore_case)
            .unwrap()
            .matches(path)
    }

    fn replaced(pattern: &str, with: &str, path: &str) -> Option<String> {
        Substitution::new(pattern, with, true).unwrap().apply(path)
    }

    #[test]
    fn an_expression_holds_from_the_start_and_need_not_reach_the_end() {
        assert!(matches("/foo", false, "/foobar"));
        assert!(!matches("/foo", false, "/x/foo"));
        assert!(!matches("/FOO", false, "/foo"));
        assert!(matches("/FOO", true, "/fooBar"));
        assert!(matches("/foo|/bar", false, "/bar"));
        assert!(!matches("/foo|/bar", false, "/x/bar"));
        assert!(matches("/foo/.*\\.php$", true, "/Foo/a.PHP"));
        assert!(!matches("/foo", false, "/fo"));
    }

    #[test]
    fn the_whole_path_is_replaced_and_captures_come_along() {
        let something = "/something(/|$)(.*)";
        for (path, expected) in [
            ("/something", "/"),
            ("/something/", "/"),
            ("/something/new", "/new"),
            ("/Something/new/x", "/new/x"),
        ] {
            assert_eq!(replaced(something, "/$2", path).as_deref(), Some(expected));
        }
        assert_eq!(
            replaced("/a(x)?/(.*)", "$1-$2", "/a/b").as_deref(),
            Some("/-b")
        );
        assert_eq!(
            replaced("/(a)", "/${1}1$0$x$", "/a").as_deref(),
            Some("/a1/a$x$")
        );
        assert_eq!(replaced("/a", "/b", "/c"), None);
    }

    #[test]
    fn what_is_not_an_expression_or_is_too_large_is_refused_in_words() {
        let error = Pattern::at_start("/(", false).unwrap_err();
        assert!(
            error.starts_with("expression \"^(?:/()\" is not valid: "),
            "{error}"
        );
        let error = compile("(a{100}){100}{100}", false).unwrap_err();
        assert!(error.contains("is too large"), "{error}");
    }

    proptest! {
        #[test]
        fn plain_text_matches_as_the_expression_would(
            text in "/[a-zA-Z/]{0,6}",
            path in "/[a-zA-Z/]{0,8}",
            ignore_case: bool,
        ) {
            let regex = compile(&format!("^(?:{text})"), ignore_case).unwrap();
            prop_assert_eq!(matches(&text, ignore_case, &path), regex.is_match(&path));
        }

        #[test]
        fn any_replacement_gives_a_path(with in ".{0,12}", path in "/[a-z/]{0,8}") {
            let replaced = replaced("^(/[a-c]*)(.*)$", &with, &path).unwrap();
            prop_assert!(replaced.starts_with('/'));
        }
    }
}
