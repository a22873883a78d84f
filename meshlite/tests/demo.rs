//! The demo checks itself: every claim of `meshlite demo --check` holds.

use std::process::Command;

#[test]
fn every_check_of_the_demo_passes() {
    let output = Command::new(env!("CARGO_BIN_EXE_meshlite"))
        .args(["demo", "--check"])
        .output()
        .expect("the binary runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stdout.lines().last().unwrap_or_default();
    let all_passed = last.starts_with("checks: ") && last.ends_with(" passed, 0 failed");
    assert!(all_passed && output.status.success(), "{stdout}\n{stderr}");
    let checks = stdout
        .lines()
        .filter(|line| line.starts_with("ok "))
        .count();
    assert!(checks >= 25, "only {checks} checks ran:\n{stdout}");
}
