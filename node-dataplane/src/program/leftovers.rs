//! What another backend left on this node: it goes once this one carries the traffic, never before.

use std::{collections::VecDeque, fmt, future::Future, pin::Pin};

use tracing::debug;

use crate::kernel::KernelError;

/// What another backend left.
pub(crate) struct Leftovers {
    retire: VecDeque<Retire>,
}

/// Lets go of what is not in use any more, and says whether that was the last of it. It is called until it was.
pub(crate) type Retire =
    Box<dyn FnMut() -> Pin<Box<dyn Future<Output = Result<bool, KernelError>> + Send>> + Send>;

// === impl Leftovers ===

impl Leftovers {
    /// What is retired by these, in this order. None if there is nothing to be looked for.
    pub(crate) fn new(retire: Vec<Retire>) -> Option<Self> {
        let retire = VecDeque::from(retire);
        (!retire.is_empty()).then_some(Self { retire })
    }

    /// Lets go of what is not in use any more, one backend after the other. Says whether nothing is left.
    pub(super) async fn retire(&mut self) -> Result<bool, KernelError> {
        while let Some(retire) = self.retire.front_mut() {
            match retire().await {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if error.may_pass() => return Err(error),
                Err(error) => debug!(%error, "what a backend left cannot be retired"),
            }
            self.retire.pop_front();
        }
        Ok(true)
    }
}

impl fmt::Debug for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leftovers")
            .field("backends", &self.retire.len())
            .finish()
    }
}
