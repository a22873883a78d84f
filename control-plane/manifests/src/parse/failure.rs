//! Why a document could not be read.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::{Problem, unknown::Note};

/// Why a document could not be read. Lines are those of the document, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is not YAML.
    Syntax { line: u32, message: String },
    /// A value is of the wrong type.
    Value {
        path: String,
        line: u32,
        message: String,
    },
    /// Keys that are there twice.
    Duplicate { paths: Vec<String> },
    /// It does not say what it is, or says something that is not.
    Header(Problem),
}

impl Failure {
    /// The line where reading stopped.
    pub(crate) fn line(&self) -> Option<u32> {
        match self {
            Self::Syntax { line, .. } | Self::Value { line, .. } => Some(*line),
            Self::Duplicate { .. } | Self::Header(_) => None,
        }
    }

    /// Why the text could not be read as a value: wrong YAML, or the wrong value.
    pub(super) fn of(
        text: &[u8],
        error: &yaml_serde::Error,
        notes: Vec<Note>,
        path: Option<String>,
    ) -> Self {
        if let Err(error) = yaml_serde::from_slice::<IgnoredAny>(text) {
            return Self::syntax(text, &error);
        }
        Self::duplicates(notes).unwrap_or_else(|| Self::Value {
            path: path.unwrap_or_default(),
            line: line(text, error),
            message: message(error),
        })
    }

    pub(super) fn syntax(text: &[u8], error: &yaml_serde::Error) -> Self {
        Self::Syntax {
            line: open_quote(error).unwrap_or_else(|| line(text, error)),
            message: message(error),
        }
    }

    pub(super) fn duplicates(notes: Vec<Note>) -> Option<Self> {
        let paths: Vec<String> = notes
            .into_iter()
            .filter_map(|note| match note {
                Note::Duplicate { path } => Some(path),
                Note::Unknown { .. } => None,
            })
            .collect();
        (!paths.is_empty()).then_some(Self::Duplicate { paths })
    }

    /// What to tell where no hint knows better.
    pub(crate) fn into_problem(self) -> Problem {
        match self {
            Self::Syntax { message, .. } => {
                let message = match message.as_str() {
                    text if text.contains("while scanning a quoted scalar") => {
                        "a quote that begins here is never closed"
                    }
                    text if text.contains("more than one document") => {
                        "something stands behind the end of the document"
                    }
                    text => text,
                };
                Problem::error("", "NotYaml", format!("not YAML: {message}"))
            }
            Self::Value { path, message, .. } => {
                let message = with_advice(&path, &message);
                Problem::error(path, "WrongType", message.into_owned())
            }
            Self::Duplicate { mut paths } => {
                let field = paths.swap_remove(0);
                let message = if field.contains(['.', '[']) {
                    "the key is there twice; only one of them can count"
                } else {
                    "the key is there twice; is a line `---` missing between two objects?"
                };
                Problem::error(field, "DuplicateKey", message)
            }
            Self::Header(problem) => problem,
        }
    }
}

/// The line of an error; the last one where the parser noticed only behind it.
fn line(text: &[u8], error: &yaml_serde::Error) -> u32 {
    let last = text.trim_ascii_end().split(|byte| *byte == b'\n').count();
    error
        .location()
        .and_then(|at| u32::try_from(at.line().min(last)).ok())
        .unwrap_or(1)
}

/// The line where a quote was opened that is never closed; the parser itself fails at the end of the text.
fn open_quote(error: &yaml_serde::Error) -> Option<u32> {
    let text = error.to_string();
    let (_, start) = text.split_once("while scanning a quoted scalar at line ")?;
    start.split(' ').next()?.parse().ok()
}

/// What serde says begins with one of these, behind the parser's own path.
const BEGINNINGS: [&str; 6] = [
    "invalid type",
    "invalid value",
    "invalid length",
    "missing field",
    "duplicate ",
    "Invalid ",
];

/// The message without positions, which count from the start of the document and not of the file.
fn message(error: &yaml_serde::Error) -> String {
    let mut text = error.to_string();
    while let Some((before, after)) = text.split_once(" at line ") {
        let rest = after
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .trim_start_matches(" column ")
            .trim_start_matches(|c: char| c.is_ascii_digit());
        text = format!("{before}{rest}");
    }
    BEGINNINGS
        .iter()
        .filter_map(|beginning| text.find(beginning))
        .min()
        .and_then(|start| text.get(start..))
        .map(ToOwned::to_owned)
        .unwrap_or(text)
}

fn with_advice<'m>(path: &str, message: &'m str) -> Cow<'m, str> {
    let advice = if message.contains("invalid type: string")
        && ["i32", "i64", "u16", "u32"]
            .iter()
            .any(|number| message.ends_with(number))
    {
        "write a number, without quotes"
    } else if message.ends_with("expected a boolean") {
        "write true or false, without quotes"
    } else if message.ends_with("expected a string") && !message.contains("sequence") {
        "write text that looks like a number or a boolean in quotes"
    } else if path.starts_with("data") && message.starts_with("Invalid ") {
        "not base64; plain text goes into stringData"
    } else {
        return Cow::Borrowed(message);
    };
    Cow::Owned(format!("{message}: {advice}"))
}
