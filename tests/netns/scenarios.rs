//! What clients of Services see, whatever carries the traffic: the list of all scenarios.

mod endpoints;
mod ports;

use libtest_mimic::Trial;

use crate::backend::Backend;

/// One scenario.
pub(crate) struct Scenario {
    /// What it claims.
    pub(crate) name: &'static str,
    run: fn(Backend),
    /// Backends that do not hold to it, and why.
    pub(crate) except: &'static [(Backend, &'static str)],
}

// === impl Scenario ===

impl Scenario {
    /// One that every backend holds to.
    const fn new(name: &'static str, run: fn(Backend)) -> Self {
        Self {
            name,
            run,
            except: &[],
        }
    }

    /// Not on these backends.
    const fn except(mut self, except: &'static [(Backend, &'static str)]) -> Self {
        self.except = except;
        self
    }

    /// Why it does not run on a backend.
    pub(crate) fn reason(&self, backend: Backend) -> Option<&'static str> {
        let except = self.except.iter().find(|(other, _)| *other == backend);
        except.map(|(_, reason)| *reason)
    }
}

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Scenario> {
    let endpoints = endpoints::SCENARIOS.into_iter();
    endpoints.chain(ports::SCENARIOS).collect()
}

/// A test for each scenario that runs on this backend.
pub(crate) fn trials(backend: Backend) -> Vec<Trial> {
    let held = all();
    let held = held
        .into_iter()
        .filter(|scenario| backend.is_built() && scenario.reason(backend).is_none());
    held.map(|scenario| {
        let name = format!("{}::{}", backend.name(), scenario.name);
        Trial::test(name, move || {
            (scenario.run)(backend);
            Ok(())
        })
    })
    .collect()
}
