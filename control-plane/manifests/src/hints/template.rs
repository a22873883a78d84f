//! A Helm template that was not rendered.

use super::{Action, Hint, lines::Lines};
use crate::{Problem, parse::Failure};

/// `{{ … }}` where YAML cannot have it.
pub(super) fn unrendered(lines: &Lines<'_>, failure: &Failure) -> Option<Hint> {
    if matches!(failure, Failure::Duplicate { .. }) {
        return None;
    }
    let line = lines.structure().find(|line| {
        let opens = memchr::memmem::find(line.text, b"{{");
        opens.is_some() && memchr::memmem::find(line.text, b"}}").is_some()
    })?;
    let message = format!(
        "line {} is a template ({}); render it first, for example with `helm template`",
        lines.in_file(line.number),
        line.quote()
    );
    Some(Hint {
        problem: Problem::error("", "NotYaml", message),
        line: line.number,
        action: Action::Stop,
    })
}
