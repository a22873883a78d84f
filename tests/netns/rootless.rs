//! Namespaces for whoever is not root.

use std::{env, fs, io};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::{getegid, geteuid},
};

/// Whether this process may make namespaces. Where it is not root, it becomes that of a user namespace of its own, if the
/// system lets it; so it must have no other thread. Says aloud what to do where not; in CI that is a failure.
#[expect(
    clippy::print_stderr,
    reason = "tests that are not run are said to whoever runs them"
)]
pub(crate) fn may_make_namespaces() -> bool {
    if geteuid().is_root() {
        return true;
    }
    let Err(error) = become_root() else {
        return true;
    };
    assert!(
        env::var_os("CI").is_none(),
        "{error}, and CI must run these tests"
    );
    eprintln!(
        "NOT RUN: the tests in namespaces of this machine, for it gives none to users: {error}. Run them as root, or \
         allow it: sudo sysctl kernel.unprivileged_userns_clone=1"
    );
    false
}

fn become_root() -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    // Without this the system lets nobody map groups.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}
