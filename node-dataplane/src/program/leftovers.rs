//! What another backend left on this node: it goes once this one carries the traffic, never before.

use std::{fmt, future::Future, pin::Pin};

use crate::kernel::KernelError;

/// What another backend left.
pub(crate) struct Leftovers {
    retire: Vec<Retire>,
}

/// Lets go of what is not in use any more, and says whether that was the last of it. It is called until it was.
pub(crate) type Retire =
    Box<dyn FnMut() -> Pin<Box<dyn Future<Output = Result<bool, KernelError>> + Send>> + Send>;

// === impl Leftovers ===

impl Leftovers {
    /// What is retired by these. None if there is nothing to be looked for.
    pub(crate) fn new(retire: Vec<Retire>) -> Option<Self> {
        (!retire.is_empty()).then_some(Self { retire })
    }

    /// Lets go of what is not in use any more. Says whether nothing is left.
    pub(super) async fn retire(&mut self) -> Result<bool, KernelError> {
        let mut left = Vec::new();
        let mut failure = None;
        for mut retire in self.retire.drain(..) {
            match retire().await {
                Ok(true) => {}
                Ok(false) => left.push(retire),
                Err(error) => {
                    if error.may_pass() {
                        left.push(retire);
                    }
                    failure = Some(error);
                }
            }
        }
        self.retire = left;
        match failure {
            Some(error) => Err(error),
            None => Ok(self.retire.is_empty()),
        }
    }
}

impl fmt::Debug for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leftovers")
            .field("backends", &self.retire.len())
            .finish()
    }
}
