//! A value of the wrong type. It is taken out, so that the next one is found too.

use super::{Action, Hint, lines::Lines};
use crate::parse::Failure;

/// The value, where it stands behind its key in one line.
pub(super) fn wrong(lines: &Lines<'_>, failure: &Failure) -> Option<Hint> {
    let Failure::Value { path, line, .. } = failure else {
        return None;
    };
    let at = lines.get(*line)?;
    let (column, key) = at.key()?;
    let field = path.rsplit(['.', '[']).next()?.trim_end_matches(']');
    if field.as_bytes() != key || at.value()?.is_empty() {
        return None;
    }
    let repaired = lines.with(|line| {
        let keep = column + key.len() + 1;
        (line.number == at.number).then(|| line.text.get(..keep).unwrap_or(line.text).to_vec())
    });
    Some(Hint {
        problem: failure.clone().into_problem(),
        line: at.number,
        action: Action::Continue(repaired),
    })
}
