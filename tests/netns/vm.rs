//! The tests that take a kernel with IPVS: in this one if it has it, else all in one boot of a virtual machine.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
};

use libtest_mimic::{Failed, Trial};
use meshlite_tests::soak::soaked;

use crate::kube_proxy::Api;

/// As the first argument, it makes this program run only these tests, in its own kernel.
pub(crate) const HERE: &str = "ipvs-here";
/// What `tests/vm/run` ends with where something is not there that it takes.
const CANNOT_RUN: i32 = 77;

/// What became of the tests in the virtual machine.
enum Outcome {
    Ran(BTreeMap<String, bool>),
    /// It said why.
    CouldNotRun,
}

/// Whether this kernel has IPVS; loads it where it is a module.
pub(crate) fn kernel_has_ipvs() -> bool {
    let load = || Command::new("modprobe").args(["-q", "ip_vs"]).status();
    Path::new("/proc/net/ip_vs").exists() || load().is_ok_and(|status| status.success())
}

/// These tests as tests of the virtual machine: the first that runs boots it for all.
pub(crate) fn elsewhere(trials: &[Trial]) -> Vec<Trial> {
    let names = trials.iter().map(|trial| trial.name().to_owned());
    names
        .map(|name| Trial::test(name.clone(), move || result(&name)))
        .collect()
}

fn result(name: &str) -> Result<(), Failed> {
    static OUTCOME: OnceLock<Outcome> = OnceLock::new();
    match OUTCOME.get_or_init(run) {
        Outcome::CouldNotRun => Ok(()),
        Outcome::Ran(passed) => match passed.get(name) {
            Some(true) => Ok(()),
            Some(false) => Err("it failed in the virtual machine: see above".into()),
            None => Err("the virtual machine did not come to it: see above".into()),
        },
    }
}

/// Runs this program in the machine with the arguments that it has here, and shows what that prints.
#[expect(
    clippy::print_stderr,
    reason = "what happens in the machine is shown as it happens"
)]
fn run() -> Outcome {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm/run");
    // There it would take minutes to start.
    let api = Api::start();
    let mut machine = Command::new(&program)
        .args(["--limit", soaked("1800", "7200")])
        .envs(api.iter().map(Api::to_give))
        .arg(env::current_exe().expect("this program"))
        .args([HERE, "--test-threads=1", "--color=never"])
        .args(env::args().skip(1).filter(|argument| {
            let decided = ["--test-threads", "--color", "--format"];
            !decided.iter().any(|option| argument.starts_with(option))
        }))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let output = machine.stdout.take().expect("its output");
    let mut passed = BTreeMap::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        eprintln!("vm: {line}");
        passed.extend(parse(&line));
    }
    let status = machine.wait().expect("it ends");
    if status.code() == Some(CANNOT_RUN) {
        eprintln!("NOT RUN: the tests in a kernel with IPVS. The line above says what it takes.");
        return Outcome::CouldNotRun;
    }
    Outcome::Ran(passed)
}

/// `test NAME ... ok`
fn parse(line: &str) -> Option<(String, bool)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some((name.trim().to_owned(), outcome.trim() == "ok"))
}
