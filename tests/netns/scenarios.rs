//! What clients of Services see, whatever carries the traffic: the list of all scenarios.

mod endpoints;
mod flows;
mod healing;
mod host;
mod ingress;
mod masquerade;
mod policies;
mod ports;
mod restarts;
mod switch;

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
};

use libtest_mimic::Trial;
use meshlite_tests::soak::soaked;

use crate::{backend::Backend, hang::watched};

/// One scenario.
pub(crate) struct Scenario {
    /// What it claims.
    pub(crate) name: &'static str,
    run: fn(Backend),
    except: Notes,
    but: Notes,
}

/// What is to be said of a backend.
type Notes = &'static [(Backend, &'static str)];

// === impl Scenario ===

impl Scenario {
    /// One that every backend holds to.
    const fn new(name: &'static str, run: fn(Backend)) -> Self {
        Self {
            name,
            run,
            except: &[],
            but: &[],
        }
    }

    /// These backends do not hold to it, for these reasons.
    const fn except(self, except: Notes) -> Self {
        Self { except, ..self }
    }

    /// These backends hold to it in a way of their own.
    const fn but(self, but: Notes) -> Self {
        Self { but, ..self }
    }

    /// Why it does not run on a backend.
    pub(crate) fn reason(&self, backend: Backend) -> Option<&'static str> {
        note(self.except, backend)
    }

    /// What is particular about it on a backend.
    pub(crate) fn particular(&self, backend: Backend) -> Option<&'static str> {
        note(self.but, backend)
    }
}

fn note(notes: Notes, backend: Backend) -> Option<&'static str> {
    let note = notes.iter().find(|(other, _)| *other == backend);
    note.map(|(_, text)| *text)
}

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(endpoints::SCENARIOS);
    all.extend(ports::SCENARIOS);
    all.extend(policies::SCENARIOS);
    all.extend(masquerade::SCENARIOS);
    all.extend(flows::SCENARIOS);
    all.extend(restarts::SCENARIOS);
    all.extend(healing::SCENARIOS);
    all.extend(host::SCENARIOS);
    all.extend(ingress::SCENARIOS);
    all.extend(switch::SCENARIOS);
    all
}

/// Whether this machine's processors are threads of another one's: they stop in the middle of a packet, for as long as
/// that has something else to do, and what takes a microsecond elsewhere takes milliseconds.
fn is_emulated() -> bool {
    let processors = fs::read_to_string("/proc/cpuinfo");
    processors.is_ok_and(|processors| processors.contains("QEMU TCG"))
}

/// Runs a scenario once more if it fails, and says so. `make soak` does not.
#[expect(clippy::print_stderr, reason = "a failure is never silent")]
fn try_twice(name: &str, run: impl Fn()) {
    if panic::catch_unwind(AssertUnwindSafe(&run)).is_err() {
        eprintln!("{name} failed in an emulated machine: it is run once more, which decides");
        run();
    }
}

/// A test for each scenario that runs on this backend.
pub(crate) fn trials(backend: Backend) -> Vec<Trial> {
    let held = all();
    let held = held
        .into_iter()
        .filter(|scenario| backend.is_built() && scenario.reason(backend).is_none());
    held.map(|scenario| {
        let name = format!("{}::{}", backend.name(), scenario.name);
        Trial::test(name.clone(), move || {
            let run = || watched(&name, || (scenario.run)(backend));
            if soaked(is_emulated(), false) {
                try_twice(&name, run);
            } else {
                run();
            }
            Ok(())
        })
    })
    .collect()
}
