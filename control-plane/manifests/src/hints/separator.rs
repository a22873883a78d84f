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
        action: Action::Split,
    })
}

fn is_dashes(content: &[u8]) -> bool {
    content.len() > 1 && content.len() != 3 && content.iter().all(|byte| *byte == b'-')
}

/// A separator behind a `#`, which makes one document of two.
pub(super) fn commented_out(lines: &Lines<'_>, failure: &Failure) -> Option<Hint> {
    let Failure::Duplicate { paths } = failure else {
        return None;
    };
    let key = paths
        .iter()
        .find(|path| !path.contains(['.', '[']))?
        .as_bytes();
    let is_key = |line: &Line<'_>| line.depth() == 0 && line.key().is_some_and(|(_, it)| it == key);
    let mut there = lines.structure().filter(is_key);
    let (first, second) = (there.next()?.number, there.next()?.number);
    let line = (first..second)
        .rev()
        .filter_map(|number| lines.get(number))
        .find(|line| line.is_comment() && is_separator(line.content()))?;
    let message = format!(
        "`---` commented out at line {number}? `{}` is there twice, in lines {} and {}; the text before and after line \
         {number} is taken as two documents",
        String::from_utf8_lossy(key),
        lines.in_file(first),
        lines.in_file(second),
        number = lines.in_file(line.number),
    );
    Some(Hint {
        problem: Problem::warning("", "CommentedSeparator", message),
        line: line.number,
        action: Action::Split,
    })
}

fn is_separator(comment: &[u8]) -> bool {
    let text = comment
        .iter()
        .position(|byte| *byte != b'#')
        .and_then(|start| comment.get(start..))
        .unwrap_or_default();
    text.trim_ascii() == b"---"
}
