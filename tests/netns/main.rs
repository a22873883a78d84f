//! Traffic through a small cluster in network namespaces: what clients see, on every backend, in real kernels.
//!
//! ```text
//! scenarios × backends ─┬─> this kernel                                ─> what passed
//!                       └─> a virtual machine's, which has IPVS (once) ─┘
//! ```
//!
//! Input: nothing but root. Output: one result for each scenario and backend. `cargo test --test netns WORDS` runs those
//! whose name contains the words.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends there if it fails"
)]

mod wait;
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(world::HOLD) {
        return world::hold();
    }
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = world::trials();
    libtest_mimic::run(&arguments, trials).exit_code()
}
