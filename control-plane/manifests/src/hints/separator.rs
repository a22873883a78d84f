//! Lines that were meant to separate documents.

use super::{
    Action, Hint,
    lines::{Line, Lines},
};
use crate::{Problem, parse::Failure};

/// A line of dashes, but not of three.
pub(super) fn wrong(lines: &Lines<'_>) -> Option<Hint> {
    let line = lines
        .structure()
        .find(|line| line.depth() == 0 && is_dashes(line.content()))?;
    let message = format!(
        "line {}: `{}` is not a separator; write `---`",
        lines.in_file(line.number),
        String::from_utf8_lossy(line.content())
    );
    Some(Hint {
        problem: Problem::error("", "BadSeparator", message),
        line: line.number,
        action: Action::Split(line.number),
    })
}

fn is_dashes(content: &[u8]) -> bool {
    content.len() > 1 && content.len() != 3 && content.iter().all(|byte| *byte == b'-')
}

/// A separator that does not stand in the first column, in a text that cannot be read.
pub(super) fn indented(lines: &Lines<'_>, failure: &Failure) -> Option<Hint> {
    if !matches!(failure, Failure::Syntax { .. } | Failure::Duplicate { .. }) {
        return None;
    }
    let line = lines
        .structure()
        .find(|line| line.depth() > 0 && line.content() == b"---")?;
    let message = format!(
        "line {}: `---` separates documents only in the first column",
        lines.in_file(line.number)
    );
    Some(Hint {
        problem: Problem::error("", "BadSeparator", message),
        line: line.number,
        action: Action::Split(line.number),
    })
}

/// A separator behind a `#`, which makes one document of two.
pub(super) fn commented_out(lines: &Lines<'_>, failure: &Failure) -> Option<Hint> {
    let (key, first, second) = twice(lines, failure)?;
    let line = (first..second)
        .rev()
        .filter_map(|number| lines.get(number))
        .find(|line| line.is_comment() && is_separator(line.content()))?;
    let message = format!(
        "`---` commented out at line {number}? `{}` is there twice, in lines {} and {}; the text before and after line \
         {number} is taken as two documents",
        key,
        lines.in_file(first),
        lines.in_file(second),
        number = lines.in_file(line.number),
    );
    Some(Hint {
        problem: Problem::warning("", "CommentedSeparator", message),
        line: line.number,
        action: Action::Split(line.number),
    })
}

/// No separator at all between two objects.
pub(super) fn missing(lines: &Lines<'_>, failure: &Failure) -> Option<Hint> {
    let (key, _, second) = twice(lines, failure)?;
    let before = second.checked_sub(1)?;
    let is_free = |line: &Line<'_>| line.is_blank() || line.is_comment();
    let message = format!(
        "line {}: `{key}` is there for the second time: write `---` between two objects",
        lines.in_file(second)
    );
    Some(Hint {
        problem: Problem::error("", "MissingSeparator", message),
        line: second,
        action: match lines.get(before).filter(is_free) {
            Some(line) => Action::Split(line.number),
            None => Action::Stop,
        },
    })
}

/// What says that a second object begins: `apiVersion` or `kind`, and the lines of the first and the second.
fn twice<'f>(lines: &Lines<'_>, failure: &'f Failure) -> Option<(&'f str, u32, u32)> {
    let Failure::Duplicate { paths } = failure else {
        return None;
    };
    let both = paths
        .iter()
        .filter(|path| matches!(path.as_str(), "apiVersion" | "kind"))
        .filter_map(|key| {
            let is_key = |line: &Line<'_>| {
                line.depth() == 0 && line.key().is_some_and(|(_, it)| it == key.as_bytes())
            };
            let mut there = lines.structure().filter(is_key);
            Some((key.as_str(), there.next()?.number, there.next()?.number))
        });
    both.min_by_key(|(_, _, second)| *second)
}

fn is_separator(comment: &[u8]) -> bool {
    let text = comment
        .iter()
        .position(|byte| *byte != b'#')
        .and_then(|start| comment.get(start..))
        .unwrap_or_default();
    text.trim_ascii() == b"---"
}
