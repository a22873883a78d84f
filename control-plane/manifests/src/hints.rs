//! What people get wrong in manifests, recognised after a document could not be read.

mod colon;
mod editor;
mod indentation;
mod lines;
mod not_yaml;
mod placeholder;
mod separator;
mod template;
mod value;

use crate::{Problem, document::Document, parse::Failure};

use lines::Lines;

/// What is probably wrong, and how to go on.
#[derive(Debug)]
pub(crate) struct Hint {
    pub(crate) problem: Problem,
    /// The line within the document, from 1.
    pub(crate) line: u32,
    pub(crate) action: Action,
}

/// How to look for what else is wrong.
#[derive(Debug)]
pub(crate) enum Action {
    /// This explains everything.
    Stop,
    /// In this text it is repaired, with every line where it was.
    Continue(Vec<u8>),
    /// There are two documents, before and after this line.
    Split(u32),
}

/// Says where a text fails, if it does.
pub(crate) type Retry<'r> = dyn Fn(&[u8]) -> Option<u32> + 'r;

/// The first explanation that fits. A repair that is only a guess is tried before it is told.
pub(crate) fn find(document: &Document<'_>, failure: &Failure, retry: &Retry<'_>) -> Option<Hint> {
    let lines = Lines::of(document);
    editor::line_numbers(&lines)
        .or_else(|| template::unrendered(&lines, failure))
        .or_else(|| separator::wrong(&lines))
        .or_else(|| separator::indented(&lines, failure))
        .or_else(|| separator::commented_out(&lines, failure))
        .or_else(|| separator::missing(&lines, failure))
        .or_else(|| placeholder::left(&lines, failure))
        .or_else(|| colon::incomplete(&lines, failure, retry))
        .or_else(|| not_yaml::stray(&lines, failure, retry))
        .or_else(|| indentation::tab(&lines, failure))
        .or_else(|| indentation::wrong(&lines, failure, retry))
        .or_else(|| value::wrong(&lines, failure))
}

/// Whether a repair got further than the failure.
fn is_better(failure: &Failure, now: Option<u32>, repaired: u32) -> bool {
    let before = failure.line().unwrap_or(0).max(repaired);
    now.is_none_or(|line| line > before)
}

#[cfg(test)]
mod tests;
