//! Traffic through a small cluster in network namespaces: what clients see, on every backend, in real kernels.
//!
//! ```text
//! scenarios × backends ─┬─> this kernel                                ─> what passed
//!                       └─> a virtual machine's, which has IPVS (once) ─┘
//! ```
//!
//! Input: nothing but root, or leave to make user namespaces. Output: one result for each scenario and backend.
//! `cargo test --test netns WORDS` runs those whose name contains the words.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends there if it fails"
)]

mod backend;
mod cluster;
mod expect;
mod hang;
mod kube_proxy;
mod load;
mod look;
mod rootless;
mod scenarios;
mod service;
mod table;
mod vm;
mod wait;
mod world;

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

use backend::Backend;

fn main() -> ExitCode {
    let mut given = env::args().collect::<Vec<_>>();
    let first = given.get(1).map(String::as_str);
    if first == Some(world::HOLD) {
        return world::hold();
    }
    hang::watch();
    let trials = if first == Some(vm::HERE) {
        given.remove(1);
        let last = given.remove(1);
        let mut left = with_ipvs();
        let is_done = left.iter().position(|trial| trial.name() == last);
        left.drain(..is_done.map_or(0, |place| place + 1));
        left
    } else {
        let mut trials = vec![table::trial()];
        if rootless::may_make_namespaces() {
            trials.extend(world::trials(""));
            trials.extend(scenarios::trials(Backend::Userspace));
            trials.extend(scenarios::trials(Backend::Nftables));
        }
        // Last: a boot takes longer than any other test.
        let with_ipvs = with_ipvs();
        if vm::kernel_has_ipvs() {
            trials.extend(with_ipvs);
        } else {
            trials.extend(vm::elsewhere(&with_ipvs));
        }
        trials
    };
    libtest_mimic::run(&Arguments::from_iter(given), trials).exit_code()
}

/// What runs in a kernel with IPVS.
fn with_ipvs() -> Vec<Trial> {
    let mut trials = world::trials("ipvs::");
    trials.push(world::ipvs_trial());
    trials.extend(scenarios::trials(Backend::Ipvs));
    trials
}
