//! Keys without their colon, or without the space behind it.

use super::{
    Action, Hint, Retry, is_better,
    lines::{Line, Lines},
};
use crate::{Problem, parse::Failure};

/// The line at or before the failure that a colon or a space makes right.
pub(super) fn incomplete(lines: &Lines<'_>, failure: &Failure, retry: &Retry<'_>) -> Option<Hint> {
    let failed = failure.line()?;
    let candidates = lines.structure().rev().filter(|line| line.number <= failed);
    candidates.take(NEAR).find_map(|line| {
        let (missing, right) = repaired(&line)?;
        let repaired = lines.with(|other| (other.number == line.number).then(|| right.clone()));
        if !is_better(failure, retry(&repaired), line.number) {
            return None;
        }
        let message = format!(
            "line {}: {} needs {missing}",
            lines.in_file(line.number),
            line.quote()
        );
        Some(Hint {
            problem: Problem::error("", "NotYaml", message),
            line: line.number,
            action: Action::Continue(repaired),
        })
    })
}

/// So many lines before the failure are looked at.
const NEAR: usize = 4;

/// What a line lacks, and the line with it.
fn repaired(line: &Line<'_>) -> Option<(&'static str, Vec<u8>)> {
    let text = line.text.trim_ascii_end();
    let start = line.depth();
    let content = text.get(start..)?;
    let length = content
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric())
        .unwrap_or(content.len());
    let (before, after) = text.split_at_checked(start + length)?;
    match after {
        _ if length == 0 => None,
        [] => Some(("a colon", [before, b":"].concat())),
        [b':', value @ ..] if value.first().is_some_and(u8::is_ascii_alphanumeric) => {
            Some(("a space behind the colon", [before, b": ", value].concat()))
        }
        _ => None,
    }
}
