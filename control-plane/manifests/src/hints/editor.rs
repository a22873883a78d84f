//! Text copied out of an editor, with its line numbers.

use super::{Action, Hint, lines::Lines};
use crate::Problem;

/// Every line begins with a number, each one more than the last.
pub(super) fn line_numbers(lines: &Lines<'_>) -> Option<Hint> {
    let mut first = None;
    let mut last: Option<u32> = None;
    let mut count = 0;
    for line in lines.structure() {
        let content = line.content();
        let end = content
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(content.len());
        let number: u32 = str::from_utf8(content.get(..end)?).ok()?.parse().ok()?;
        if last.is_some_and(|last| last.checked_add(1) != Some(number)) {
            return None;
        }
        last = Some(number);
        first.get_or_insert(line);
        count += 1;
    }
    let first = first.filter(|_| count > 1)?;
    let message = format!(
        "the lines begin with an editor's line numbers ({}); remove line numbers",
        first.quote()
    );
    Some(Hint {
        problem: Problem::error("", "NotYaml", message),
        line: first.number,
        action: Action::Stop,
    })
}
