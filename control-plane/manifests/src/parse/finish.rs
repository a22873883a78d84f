//! From a value of the right type to an object that can be served.

use meshlite_snapshot::Severity;

use super::{locate::line_of, place::Place, quick::Outcome};
use crate::{Located, Object, Problem, validate};

/// Validates an object and adds it, or what is wrong with it.
pub(super) fn object(
    place: &Place<'_>,
    mut object: Object,
    mut problems: Vec<Problem>,
    outcome: &mut Outcome,
) {
    problems.extend(validate::default_and_validate(&mut object));
    let is_good = problems
        .iter()
        .all(|problem| problem.severity != Severity::Error);
    report(place, &object, problems, outcome);
    if is_good {
        outcome.objects.push(Located {
            source: place.source(),
            object,
        });
    }
}

/// So many problems of one object are told: each costs a search for its line.
const MAX_PROBLEMS: usize = 32;

/// Adds problems as findings about this object, each with the line of its field.
pub(super) fn report(
    place: &Place<'_>,
    object: &Object,
    mut problems: Vec<Problem>,
    outcome: &mut Outcome,
) {
    if problems.len() > MAX_PROBLEMS {
        problems.sort_by_key(|problem| problem.severity);
        let more = problems.split_off(MAX_PROBLEMS);
        problems.extend(more.first().map(|first| Problem {
            severity: first.severity,
            field: first.field.clone(),
            reason: "MoreProblems".into(),
            message: format!("from here on {} more problems are not listed", more.len()),
        }));
    }
    for problem in problems {
        let line = line_of(place.document.text, &problem.field).unwrap_or(1);
        let source = place.source_at(line);
        outcome
            .findings
            .push(problem.at(object.reference(), Some(source)));
    }
}
