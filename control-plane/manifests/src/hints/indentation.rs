//! Keys that stand in the wrong column.

use super::{
    Action, Hint, Retry, is_better,
    lines::{Line, Lines},
};
use crate::{Problem, parse::Failure};

/// A line that is indented with a tab.
pub(super) fn tab(lines: &Lines<'_>, failure: &Failure) -> Option<Hint> {
    let Failure::Syntax { line, .. } = failure else {
        return None;
    };
    let line = [*line, line.saturating_sub(1)]
        .into_iter()
        .filter_map(|number| lines.get(number))
        .find(|line| line.text.trim_ascii_start().len() < line.text.len() - line.depth())?;
    let message = format!(
        "line {} is indented with a tab; YAML wants spaces",
        lines.in_file(line.number)
    );
    Some(Hint {
        problem: Problem::error("", "BadIndentation", message),
        line: line.number,
        action: Action::Stop,
    })
}

/// A key that is in no column of the mappings around it.
pub(super) fn wrong(lines: &Lines<'_>, failure: &Failure, retry: &Retry<'_>) -> Option<Hint> {
    let Failure::Syntax { line, .. } = failure else {
        return None;
    };
    let line = lines.get(*line)?;
    let (column, key) = line.key()?;
    let before: Vec<Line<'_>> = lines
        .structure()
        .filter(|other| other.number < line.number)
        .collect();
    let (right, sibling) = [under(&before, column), over(&before, column)]
        .into_iter()
        .flatten()
        .find(|(right, _)| *right != column)?;
    let repaired = moved(lines, line, column, right);
    if !is_better(failure, retry(&repaired), line.number) {
        return None;
    }
    let message = format!(
        "line {}: indent to match `{}`: `{}` has {} and needs {right}",
        lines.in_file(line.number),
        String::from_utf8_lossy(sibling),
        String::from_utf8_lossy(key),
        spaces(column),
    );
    Some(Hint {
        problem: Problem::error("", "BadIndentation", message),
        line: line.number,
        action: Action::Continue(repaired),
    })
}

fn spaces(count: usize) -> String {
    match count {
        1 => "1 space".to_owned(),
        count => format!("{count} spaces"),
    }
}

/// The column of the mapping that the key fell out of, and the first key there: the leftmost one that is deeper than
/// the key, below the last line that is less deep.
fn under<'t>(before: &[Line<'t>], column: usize) -> Option<(usize, &'t [u8])> {
    let parent = before
        .iter()
        .rposition(|line| line.depth() < column)
        .unwrap_or(0);
    let mut deeper = before
        .get(parent..)?
        .iter()
        .filter_map(Line::key)
        .filter(|(other, _)| *other > column);
    let right = deeper.clone().map(|(other, _)| other).min()?;
    deeper.find(|(other, _)| *other == right)
}

/// The column of the line before, which has a value and so no mapping below it.
fn over<'t>(before: &[Line<'t>], column: usize) -> Option<(usize, &'t [u8])> {
    let last = before.last()?;
    let has_value = last.value().is_some_and(|value| !value.is_empty());
    last.key().filter(|(other, _)| has_value && *other < column)
}

/// The document with this line, and what is below it, in another column.
fn moved(lines: &Lines<'_>, line: Line<'_>, column: usize, right: usize) -> Vec<u8> {
    let mut inside = false;
    lines.with(|other| {
        if other.number == line.number {
            inside = true;
        } else if !other.is_blank() && other.depth() <= line.depth() {
            inside = false;
        }
        (inside && !other.is_blank()).then(|| {
            let depth = (other.depth() + right).saturating_sub(column);
            let mut text = vec![b' '; depth];
            text.extend_from_slice(other.text.trim_ascii_start());
            text
        })
    })
}
