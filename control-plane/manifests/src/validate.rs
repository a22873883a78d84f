//! Defaults and validation of one object.

use crate::{Object, Problem};

/// Fills in what an API server would and says what is wrong.
pub fn default_and_validate(_object: &mut Object) -> Vec<Problem> {
    Vec::new()
}
