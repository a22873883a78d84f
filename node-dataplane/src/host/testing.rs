//! A network namespace for a test of what the kernel does.

use std::{io::Write as _, panic, process::Command, thread};

use nix::sched::{CloneFlags, unshare};

/// Runs a test in a network namespace of its own, with its loopback up. Where that is not allowed, says so; in CI that is
/// a failure.
pub(crate) fn in_namespace(test: impl FnOnce() + Send) {
    let outcome = thread::scope(|scope| {
        let inside = scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => {
                ip("link set lo up");
                test();
            }
            Err(error) => not_tested(&format!("no network namespace: {error}")),
        });
        inside.join()
    });
    outcome.unwrap_or_else(|cause| panic::resume_unwind(cause));
}

/// Says what could not be tested. In CI that is a failure.
pub(crate) fn not_tested(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "not tested: {reason}");
    say(reason);
}

/// Says what this machine's kernel lacks for a test that `tests/vm/ipvs` runs in one that has it: there it is a failure.
pub(crate) fn not_in_this_kernel(reason: &str) {
    let promised = std::env::var_os("IPVS_REQUIRED").is_some();
    assert!(!promised, "a kernel with IPVS was promised: {reason}");
    say(&format!("{reason}; `tests/vm/ipvs` tests it"));
}

fn say(reason: &str) {
    // Not by a macro: the test harness would keep that to itself.
    let said = std::io::stderr().write_all(format!("NOT TESTED: {reason}\n").as_bytes());
    said.expect("somewhere to say it");
}

/// Runs `ip`, and gives what it prints.
pub(crate) fn ip(arguments: &str) -> String {
    run("ip", &arguments.split(' ').collect::<Vec<_>>())
}

/// Runs a command, and gives what it prints.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
