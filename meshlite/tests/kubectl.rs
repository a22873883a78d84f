//! The command as a plugin of the real kubectl.

#![expect(clippy::expect_used, reason = "a test ends here if it fails")]

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The kubectl of `KUBEBUILDER_ASSETS`, else the one that `make tools` builds. Says so where there is none; in CI that is a
/// failure.
#[expect(
    clippy::print_stderr,
    reason = "a test that is not run is said to whoever runs it"
)]
fn kubectl() -> Option<PathBuf> {
    let given = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/kubernetes");
    let folders = given.into_iter().chain([built]);
    let found = folders.map(|it| it.join("kubectl")).find(|it| it.is_file());
    if found.is_none() {
        assert!(
            env::var_os("CI").is_none(),
            "kubectl is not there: make tools"
        );
        eprintln!("NOT RUN: kubectl is not there: make tools");
    }
    found
}

/// A folder in which kubectl finds this program.
fn plugins() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["kubectl-meshlite", "kubectl_complete-meshlite"] {
        symlink(env!("CARGO_BIN_EXE_meshlite"), folder.path().join(name)).expect("a link");
    }
    folder
}

fn run(kubectl: &Path, plugins: &Path, args: &[&str]) -> Output {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = [plugins.to_owned()]
        .into_iter()
        .chain(env::split_paths(&path));
    let output = Command::new(kubectl)
        .args(args)
        .env("PATH", env::join_paths(path).expect("a PATH"))
        .env("HOME", plugins)
        .output();
    output.expect("kubectl runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn kubectl_runs_it_as_a_plugin_that_calls_itself_so() {
    let Some(kubectl) = kubectl() else { return };
    let plugins = plugins();
    let run = |args: &[&str]| run(&kubectl, plugins.path(), args);
    let version = run(&["meshlite", "version"]);
    let said = text(&version.stdout);
    assert!(version.status.success(), "{}", text(&version.stderr));
    assert!(
        said.starts_with(concat!("meshlite ", env!("CARGO_PKG_VERSION"))),
        "{said}"
    );

    let help = text(&run(&["meshlite", "status", "--help"]).stdout);
    assert!(
        help.contains("Usage: kubectl meshlite status [OPTIONS]"),
        "{help}"
    );
    assert!(
        help.contains("\n  kubectl meshlite status --watch\n"),
        "{help}"
    );

    let mistake = run(&["meshlite", "statsu"]);
    assert_eq!(mistake.status.code(), Some(2));
    let said = text(&mistake.stderr);
    assert!(
        said.contains("Usage: kubectl meshlite [OPTIONS] <COMMAND>"),
        "{said}"
    );
}

#[test]
fn kubectl_completes_its_words() {
    let Some(kubectl) = kubectl() else { return };
    let plugins = plugins();
    let complete = |words: &[&str]| {
        let words = [&["__complete", "meshlite"], words].concat();
        let said = text(&run(&kubectl, plugins.path(), &words).stdout);
        said.lines()
            .map(|line| line.split('\t').next().unwrap_or(line).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(complete(&["pre"]), ["preflight", ":4"]);
    assert_eq!(complete(&["get", "serv"]), ["services", ":4"]);
    fs::remove_file(plugins.path().join("kubectl_complete-meshlite")).expect("the link goes");
    assert_eq!(complete(&["pre"]), [":0"], "the answers were the program's");
}
