//! A second way to IPVS, for virtual servers that arrive: they are sent while the next are prepared.

use std::borrow::Borrow;

use meshlite_ipvs::{Change, Error, Failure, Ipvs};

/// IPVS of the network namespace of the thread that has it.
#[derive(Debug, Default)]
pub(super) struct Sender {
    /// Once it was needed, and as long as it works.
    ipvs: Option<Ipvs>,
}

// === impl Sender ===

impl Sender {
    /// Makes changes in their order, and tells which failed.
    pub(super) fn tell(
        &mut self,
        changes: impl IntoIterator<Item = impl Borrow<Change>>,
    ) -> Result<Vec<Failure>, Error> {
        let mut ipvs = match self.ipvs.take() {
            Some(ipvs) => ipvs,
            None => Ipvs::connect()?,
        };
        let failures = ipvs.apply(changes)?;
        self.ipvs = Some(ipvs);
        Ok(failures)
    }
}
