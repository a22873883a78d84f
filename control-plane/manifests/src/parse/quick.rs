//! The way that a good document in plain style takes: one pass, nothing but the object.

use std::{borrow::Cow, collections::BTreeMap};

use meshlite_snapshot::{Finding, ObjectRef};
use serde::de::IgnoredAny;

use super::{
    careful,
    depth::is_too_deep,
    finish, header,
    kinds::{self, Kind, Plan},
    list,
    place::Place,
};
use crate::{Located, ManifestFile, Problem, document::Document};

/// What came of one document.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) objects: Vec<Located>,
    pub(super) findings: Vec<Finding>,
    pub(super) skipped: BTreeMap<String, u32>,
}

impl Outcome {
    pub(super) fn add_to(self, file: &mut ManifestFile) {
        file.objects.extend(self.objects);
        file.findings.extend(self.findings);
        for (kind, count) in self.skipped {
            *file.skipped.entry(kind).or_default() += count;
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.findings.extend(other.findings);
        for (kind, count) in other.skipped {
            *self.skipped.entry(kind).or_default() += count;
        }
    }

    pub(super) fn skip(&mut self, kind: String) {
        *self.skipped.entry(kind).or_default() += 1;
    }
}

/// Reads one document.
pub(super) fn read(path: &str, document: &Document<'_>) -> Outcome {
    let place = Place {
        path,
        document: *document,
    };
    read_as(&place, None)
}

/// Reads one document, or the item of a list, whose kind may be known from the list.
pub(super) fn read_as(place: &Place<'_>, assumed: Option<&'static Kind>) -> Outcome {
    try_read(place, assumed).unwrap_or_else(|| careful::read(place, assumed))
}

/// None where anything at all is wrong with the text, or it is not plain.
fn try_read(place: &Place<'_>, assumed: Option<&'static Kind>) -> Option<Outcome> {
    let text = place.document.text;
    if is_too_deep(text) {
        return None;
    }
    let header = header::read(text).ok()?;
    let mut outcome = Outcome::default();
    match kinds::plan_as(&header, assumed) {
        Plan::Read(kind) => {
            let (object, problems) = (kind.read_plain)(text).ok()?;
            finish::object(place, object, problems, &mut outcome);
        }
        Plan::List(items) => return list::read(place, items),
        Plan::Skip => {
            skippable(text)?;
            outcome.skip(header.kind);
        }
        Plan::SkipWith(problem) => {
            skippable(text)?;
            let reference = ObjectRef {
                kind: Cow::Owned(header.kind.clone()),
                ..super::place::probable_reference(text)
            };
            outcome
                .findings
                .push(problem.at(reference, Some(place.source())));
            outcome.skip(header.kind);
        }
        Plan::Refuse(_) => return None,
    }
    Some(outcome)
}

/// Whether a document that is not ours is a document at all.
fn skippable(text: &[u8]) -> Option<()> {
    if header::count(text, b"kind:") > 1 {
        return None;
    }
    yaml_serde::from_slice::<IgnoredAny>(text)
        .ok()
        .map(|IgnoredAny| ())
}

/// A problem of the document as a whole.
pub(super) fn finding(place: &Place<'_>, problem: Problem, line: u32) -> Finding {
    let reference = super::place::probable_reference(place.document.text);
    problem.at(reference, Some(place.source_at(line)))
}
