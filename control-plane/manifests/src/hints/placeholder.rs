//! `...` where a tutorial left something out.

use super::{
    Action, Hint,
    lines::{Line, Lines},
};
use crate::{Problem, parse::Failure};

const DOTS: &[u8] = b"...";

/// Dots in the place of fields or of a value.
pub(super) fn left(lines: &Lines<'_>, failure: &Failure) -> Option<Hint> {
    if matches!(failure, Failure::Duplicate { .. } | Failure::Header(_)) {
        return None;
    }
    let found: Vec<Line<'_>> = lines.structure().filter(is_placeholder).collect();
    let first = found.first()?;
    let others: Vec<String> = found
        .iter()
        .skip(1)
        .map(|line| lines.in_file(line.number).to_string())
        .collect();
    let mut message = format!(
        "line {}: `...` is a placeholder, not YAML; write what belongs there, or remove it",
        lines.in_file(first.number)
    );
    if !others.is_empty() {
        message = format!("{message}; the same in line {}", others.join(", "));
    }
    let repaired = lines.with(|line| {
        let is_found = found.iter().any(|it| it.number == line.number);
        is_found.then(|| without_dots(line))
    });
    Some(Hint {
        problem: Problem::error("", "Placeholder", message),
        line: first.number,
        action: Action::Continue(repaired),
    })
}

fn is_placeholder(line: &Line<'_>) -> bool {
    line.content() == DOTS || line.content() == b"- ..." || line.value() == Some(DOTS)
}

fn without_dots(line: Line<'_>) -> Vec<u8> {
    if line.content().starts_with(b"- ...") || line.content() == DOTS {
        return Vec::new();
    }
    let text = line.text.trim_ascii_end();
    text.strip_suffix(DOTS).unwrap_or(text).to_vec()
}
