//! Programs of others that tests run: web servers to send requests to, and tools that attack.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

/// Where a program is. None, and said aloud, where it is not installed; in CI that is a failure.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(program))
        .find(|path| path.exists());
    if found.is_none() {
        let missing = format!("{program} is not installed: run `make tools`");
        assert!(
            env::var_os("CI").is_none(),
            "{missing}, and CI must run this test"
        );
        eprintln!("{missing}; without it this test shows nothing");
    }
    found
}

/// What a program says, which ends within three minutes; its exit status means nothing.
pub(super) async fn said(program: &Path, arguments: &[&str]) -> String {
    let running = Command::new(program)
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_mins(3), running).await;
    let output = output.expect("the program ends").expect("it can be run");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
