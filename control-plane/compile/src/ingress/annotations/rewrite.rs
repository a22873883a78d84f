//! Paths as regular expressions, and their rewriting.

use super::{Asked, written::Written};

/// What becomes of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ingress) struct Rewriting {
    /// The paths of all of the host are regular expressions.
    pub(in crate::ingress) use_regex: bool,
    /// The path of the annotation, and what paths become; `$1` to `$9` are the groups of the rule's path.
    pub(in crate::ingress) target: Option<(String, String)>,
}

pub(super) fn read(written: &mut Written<'_, '_>, asked: &mut Asked) {
    asked.rewriting.use_regex = written.flag("use-regex").unwrap_or_default();
    let slashes = written.flag("allow-encoded-slashes");
    asked.policy.allow_encoded_slashes = slashes.unwrap_or_default();
    let Some(target) = written.value("rewrite-target") else {
        return;
    };
    if target.text.starts_with("http://") || target.text.starts_with("https://") {
        let problem =
            "is a URL, which would be a redirect; write permanent-redirect or temporal-redirect";
        written.unsupported(&target, problem);
    } else if target
        .text
        .contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
    {
        written.invalid(&target, "is not a path");
    } else {
        asked.rewriting.target = Some((target.field, target.text.to_owned()));
    }
}
