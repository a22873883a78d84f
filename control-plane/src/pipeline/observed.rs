//! What was observed of endpoints, as an input of the compiler.

use std::sync::Arc;

use meshlite_compile::{Change, Inputs, Interner};
use tokio::sync::watch;

use crate::balance::AllFactors;

/// Factors as they come.
#[derive(Debug)]
pub(crate) struct Observed(pub(super) watch::Receiver<Arc<AllFactors>>);

impl Observed {
    /// The next ones; never, where nobody observes any more. Cancel-safe.
    pub(super) async fn next(&mut self) -> AllFactors {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        AllFactors::clone(&self.0.borrow_and_update())
    }
}

/// Takes these in place of those that were there, and says what that changes.
pub(super) fn replace(factors: &mut AllFactors, now: AllFactors) -> Vec<Change> {
    let of = |factors: &AllFactors| Inputs {
        factors: factors.clone(),
        ..Inputs::default()
    };
    let changes = of(&now).changes_since(&of(factors), &mut Interner::default());
    *factors = now;
    changes
}
