//! Where a dry run prints plans to, each with the table that it leads to.

use std::{fmt::Write as _, io::Write};

use tracing::warn;

use crate::{kernel::print, plan::Step, table::Table};

/// Where plans are printed to.
pub(crate) struct Printer {
    to: Box<dyn Write + Send>,
    /// Steps that are not printed yet.
    steps: String,
}

// === impl Printer ===

impl Printer {
    pub(crate) fn new(to: Box<dyn Write + Send>) -> Self {
        Self {
            to,
            steps: String::new(),
        }
    }

    /// Adds steps to the plan.
    pub(super) fn add(&mut self, steps: &[Step]) {
        for step in steps {
            // A string takes everything.
            writeln!(self.steps, "# {step}").unwrap_or_default();
        }
    }

    /// Prints the plan, if there are any steps, and the table that it leads to.
    pub(super) fn print(&mut self, table: &Table) {
        if self.steps.is_empty() {
            return;
        }
        let mut text = std::mem::take(&mut self.steps);
        text.push_str(&print::table(table));
        if let Err(error) = self.to.write_all(text.as_bytes()) {
            warn!(%error, "plan cannot be printed");
        }
    }
}
