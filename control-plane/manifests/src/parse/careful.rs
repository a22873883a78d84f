//! The way that a bad document takes: everything that can be found out, each problem with its line.

use std::borrow::Cow;

use meshlite_snapshot::{Finding, Severity};
use serde::de::IgnoredAny;

use super::{
    Failure, finish, header,
    kinds::{self, Kind, Plan},
    list,
    locate::{line_of, second_line_of},
    place::{Place, unreadable},
    quick::{Outcome, finding},
};
use crate::{
    Object, Problem,
    document::Document,
    hints::{self, Action, Hint},
    merge,
    unknown::{self, Note, Notes},
};

/// So many problems are reported of one document.
const MAX_PROBLEMS: usize = 32;

/// In a document larger than this only the first problem is looked for: each costs a parse.
const LARGE: usize = 1024 * 1024;

/// What a text turned out to be.
enum Attempt {
    Object(Object, Vec<Problem>),
    List(Outcome),
    Skipped(String, Option<Problem>),
}

/// Reads a document in which something is wrong: repairs what can be understood on a copy, to find what else is
/// wrong. What was repaired is not served.
pub(super) fn read(place: &Place<'_>, assumed: Option<&'static Kind>) -> Outcome {
    let mut outcome = Outcome::default();
    match unreadable(place) {
        Some((problem, line)) => outcome.findings.push(finding(place, problem, line)),
        None => explain(place, assumed, &mut outcome),
    }
    let line = |finding: &Finding| finding.source.as_ref().map(|source| source.line);
    outcome.findings.sort_by_key(line);
    outcome
}

fn explain(place: &Place<'_>, assumed: Option<&'static Kind>, outcome: &mut Outcome) {
    let mut text = Cow::Borrowed(place.document.text);
    let mut repaired = false;
    let problems = if text.len() > LARGE { 1 } else { MAX_PROBLEMS };
    for _ in 0..problems {
        let here = Place {
            path: place.path,
            document: Document {
                text: &text,
                ..place.document
            },
        };
        let failure = match attempt(&here, assumed) {
            Ok(attempt) => return accept(&here, attempt, repaired, outcome),
            Err(failure) => failure,
        };
        if let Failure::Syntax { .. } = failure
            && let Some(better) = readable_json(&text).or_else(|| without_blank_tabs(&text))
        {
            text = Cow::Owned(better);
            continue;
        }
        let retry = |text: &[u8]| fails_at(place, text, assumed);
        let Some(hint) = hints::find(&here.document, &failure, &retry) else {
            return give_up(&here, failure, repaired, outcome);
        };
        match hint.action {
            Action::Stop => {
                outcome
                    .findings
                    .push(finding(&here, hint.problem, hint.line));
                return;
            }
            Action::Continue(better) => {
                outcome
                    .findings
                    .push(finding(&here, hint.problem, hint.line));
                text = Cow::Owned(better);
                repaired = true;
            }
            Action::Split(between) => {
                split(&here, hint, between, repaired, outcome);
                return;
            }
        }
    }
}

/// The text without tabs in lines that hold nothing else, which the parser refuses.
fn without_blank_tabs(text: &[u8]) -> Option<Vec<u8>> {
    let is_blank = |line: &[u8]| line.trim_ascii().is_empty();
    let lines: Vec<&[u8]> = text
        .split(|byte| *byte == b'\n')
        .map(|line| if is_blank(line) { b"" } else { line })
        .collect();
    let better = lines.join(&b'\n');
    (memchr::memchr(b'\t', text).is_some() && better != text).then_some(better)
}

/// JSON that is no YAML (`\/`, surrogate pairs), in a form that is both.
fn readable_json(text: &[u8]) -> Option<Vec<u8>> {
    if !text.starts_with(b"{") {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    serde_json::to_vec_pretty(&value)
        .ok()
        .filter(|better| better != text)
}

/// The text as an object, a list or something that is not ours.
fn attempt(place: &Place<'_>, assumed: Option<&'static Kind>) -> Result<Attempt, Failure> {
    let text = place.document.text;
    let header = header::read(text).map_err(|error| match Failure::of(text, &error, vec![], None) {
        syntax @ Failure::Syntax { .. } => syntax,
        _ => Failure::Header(Problem::error(
            "",
            "NotAnObject",
            "the document is no mapping with `apiVersion` and `kind`: this is no Kubernetes object",
        )),
    })?;
    match kinds::plan_as(&header, assumed) {
        Plan::Read(kind) => typed(text, kind),
        Plan::List(items) => {
            let list = list::read(place, items).map(Attempt::List);
            list.ok_or_else(|| syntax_or(text, "`items` is no list of objects"))
        }
        Plan::Skip => skippable(text, None).map(|()| Attempt::Skipped(header.kind, None)),
        Plan::SkipWith(problem) => {
            skippable(text, None).map(|()| Attempt::Skipped(header.kind, Some(problem)))
        }
        Plan::Refuse(problem) => skippable(text, Some(Failure::Header(problem)))
            .map(|()| Attempt::Skipped(header.kind, None)),
    }
}

fn typed(text: &[u8], kind: &Kind) -> Result<Attempt, Failure> {
    if memchr::memmem::find(text, b"<<").is_some()
        && let Some(merged) = merge::flatten(text)
        && merged != text
        && let Ok(attempt) = typed(&merged, kind)
    {
        return Ok(attempt);
    }
    let notes = Notes::new(text);
    let result = (kind.read)(text, &notes);
    let (notes, path) = notes.into_parts();
    let (object, mut problems) =
        result.map_err(|error| Failure::of(text, &error, notes.clone(), path))?;
    problems.extend(notes.iter().filter_map(|note| unknown_field(note, kind)));
    match Failure::duplicates(notes) {
        Some(duplicates) => Err(duplicates),
        None => Ok(Attempt::Object(object, problems)),
    }
}

fn unknown_field(note: &Note, kind: &Kind) -> Option<Problem> {
    let Note::Unknown { path, field, known } = note else {
        return None;
    };
    if let Some(retired) = unknown::retired(path) {
        return Some(if retired.is_harmless {
            Problem::warning(path, "RetiredField", retired.message)
        } else {
            Problem::error(path, "UnknownField", retired.message)
        });
    }
    if field.starts_with('-') {
        return Some(Problem::error(
            path,
            "UnknownField",
            "write a space behind the dash",
        ));
    }
    let Some(meant) = unknown::misspelt(field, known) else {
        return Some(Problem::warning(
            path,
            "UnknownField",
            format!("unknown field, ignored; known here: {}", known.join(", ")),
        ));
    };
    let message = format!("unknown field; did you mean {meant}?");
    Some(if kind.served {
        Problem::error(path, "UnknownField", message)
    } else {
        Problem::warning(path, "UnknownField", message)
    })
}

/// Whether a document that is not read as an object is YAML, with each key once.
fn skippable(text: &[u8], otherwise: Option<Failure>) -> Result<(), Failure> {
    yaml_serde::from_slice::<IgnoredAny>(text).map_err(|error| Failure::syntax(text, &error))?;
    let twice = ["kind", "apiVersion"]
        .into_iter()
        .filter(|key| header::count(text, format!("{key}:").as_bytes()) > 1);
    let paths: Vec<String> = twice.map(ToOwned::to_owned).collect();
    if !paths.is_empty() {
        return Err(Failure::Duplicate { paths });
    }
    otherwise.map_or(Ok(()), Err)
}

fn syntax_or(text: &[u8], message: &'static str) -> Failure {
    match yaml_serde::from_slice::<IgnoredAny>(text) {
        Err(error) => Failure::syntax(text, &error),
        Ok(IgnoredAny) => Failure::Header(Problem::error("items", "WrongType", message)),
    }
}

/// The line where this text is still no YAML.
fn fails_at(place: &Place<'_>, text: &[u8], assumed: Option<&'static Kind>) -> Option<u32> {
    let place = Place {
        path: place.path,
        document: Document {
            text,
            ..place.document
        },
    };
    match attempt(&place, assumed) {
        Err(Failure::Syntax { line, .. }) => Some(line),
        _ => None,
    }
}

/// Adds what was read, or, where something had to be repaired first, only what else is wrong with it.
fn accept(place: &Place<'_>, attempt: Attempt, repaired: bool, outcome: &mut Outcome) {
    match attempt {
        Attempt::Object(object, problems) if repaired => {
            finish::report(place, &object, problems, outcome);
        }
        Attempt::Object(object, problems) => finish::object(place, object, problems, outcome),
        Attempt::List(items) => {
            let Outcome {
                objects, findings, ..
            } = items;
            outcome.findings.extend(findings);
            if !repaired {
                outcome.objects.extend(objects);
            }
        }
        Attempt::Skipped(kind, problem) => {
            if let Some(problem) = problem {
                outcome.findings.push(finding(place, problem, 1));
            }
            if !repaired {
                outcome.skip(kind);
            }
        }
    }
}

/// Two documents in one: the hint says where. What a warning is enough for, is served.
fn split(
    place: &Place<'_>,
    Hint {
        mut problem, line, ..
    }: Hint,
    between: u32,
    repaired: bool,
    outcome: &mut Outcome,
) {
    let mut pieces = Outcome::default();
    for document in place.document.around(between) {
        let piece = Place {
            path: place.path,
            document,
        };
        pieces.extend(super::quick::read_as(&piece, None));
    }
    let is_good = |finding: &Finding| finding.severity != Severity::Error;
    let is_served = problem.severity == Severity::Warning
        && !repaired
        && pieces.findings.iter().all(is_good)
        && outcome.findings.iter().all(is_good);
    if !is_served {
        problem.severity = Severity::Error;
    }
    outcome.findings.push(finding(place, problem, line));
    if is_served {
        outcome.extend(pieces);
    } else {
        outcome.findings.extend(pieces.findings);
    }
}

/// Reports a failure that no hint explains. After a repair it may be the repair's own fault: then only a syntax error
/// is worth telling.
fn give_up(place: &Place<'_>, failure: Failure, repaired: bool, outcome: &mut Outcome) {
    if repaired && !matches!(failure, Failure::Syntax { .. }) {
        return;
    }
    let text = place.document.text;
    let line = match &failure {
        Failure::Duplicate { paths } => paths.first().and_then(|path| second_line_of(text, path)),
        Failure::Header(problem) => line_of(text, &problem.field),
        Failure::Syntax { line, .. } | Failure::Value { line, .. } => Some(*line),
    };
    let problem = failure.into_problem();
    let told = finding(place, problem, line.unwrap_or(1));
    outcome.findings.push(told);
}
