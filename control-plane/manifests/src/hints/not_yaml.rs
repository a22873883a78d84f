//! Shell lines and prose copied together with a manifest.

use super::{
    Action, Hint, Retry, is_better,
    lines::{Line, Lines},
};
use crate::{Problem, parse::Failure};

/// Lines without any of YAML's structure, at or before the place where reading failed.
pub(super) fn stray(lines: &Lines<'_>, failure: &Failure, retry: &Retry<'_>) -> Option<Hint> {
    let Failure::Syntax { line: failed, .. } = failure else {
        return None;
    };
    let structure: Vec<Line<'_>> = lines.structure().collect();
    let before = structure
        .iter()
        .rposition(|line| line.number <= *failed && is_stray(line));
    let after = || {
        structure
            .iter()
            .position(|line| line.number > *failed && is_stray(line))
    };
    let at = before.or_else(after)?;
    let run = run_around(&structure, at);
    let (first, last) = (run.first()?, run.last()?);
    let repaired = lines.with(|line| {
        let is_inside = (first.number..=last.number).contains(&line.number);
        is_inside.then(Vec::new)
    });
    if !is_better(failure, retry(&repaired), last.number) {
        return None;
    }
    let rest = if last.number > first.number {
        format!(" and the rest up to line {}", lines.in_file(last.number))
    } else {
        String::new()
    };
    let message = format!(
        "line {} is not YAML: {}; remove it{rest}",
        lines.in_file(first.number),
        first.quote()
    );
    Some(Hint {
        problem: Problem::error("", "NotYaml", message),
        line: first.number,
        action: Action::Continue(repaired),
    })
}

/// The stray lines that follow each other around this one.
fn run_around<'l, 't>(structure: &'l [Line<'t>], at: usize) -> &'l [Line<'t>] {
    let (before, after) = structure.split_at(at);
    let start = before
        .iter()
        .rposition(|line| !is_stray(line))
        .map_or(0, |index| index + 1);
    let end = after
        .iter()
        .position(|line| !is_stray(line))
        .map_or(structure.len(), |index| at + index);
    structure.get(start..end).unwrap_or_default()
}

/// Neither a key nor an item, nor the start or end of anything.
fn is_stray(line: &Line<'_>) -> bool {
    let content = line.content();
    if is_prompt(content) {
        return true;
    }
    let is_item = content == b"-" || content.starts_with(b"- ");
    let is_other = matches!(
        content.first(),
        Some(
            b'{' | b'}'
                | b'['
                | b']'
                | b'"'
                | b'\''
                | b'&'
                | b'*'
                | b'?'
                | b'!'
                | b'|'
                | b'>'
                | b'%'
        )
    );
    line.key().is_none() && !is_item && !is_other
}

/// `[root@master ~]# vim service.yaml`, `$ kubectl apply`.
fn is_prompt(content: &[u8]) -> bool {
    let is_bracketed = content.starts_with(b"[")
        && [&b"]# "[..], b"]$ "]
            .iter()
            .any(|end| memchr::memmem::find(content, end).is_some());
    is_bracketed || content.starts_with(b"$ ")
}
