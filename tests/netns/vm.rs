//! The tests that take a kernel with IPVS: in this one if it has it, else all in one boot of a virtual machine.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        OnceLock,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use meshlite_tests::soak::soaked;
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use crate::{hang, kube_proxy::Api};

/// As the first argument, it makes this program run only these tests, in its own kernel. The next is the last of them that
/// was run already, or empty.
pub(crate) const HERE: &str = "ipvs-here";
/// What `tests/vm/run` ends with where something is not there that it takes.
const CANNOT_RUN: i32 = 77;

/// What became of the tests in the virtual machine.
enum Outcome {
    Ran(BTreeMap<String, bool>),
    /// It said why.
    CouldNotRun,
}

/// How a machine ended.
enum End {
    All,
    /// In the middle.
    NotAll,
    /// It did not start, and said why.
    CannotRun,
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

/// Boots a machine, and one more for what the first did not come to: an emulated one can stop in the middle.
#[expect(clippy::print_stderr, reason = "a failure is never silent")]
fn run() -> Outcome {
    // There it would take minutes to start.
    let api = Api::start();
    let mut results = Vec::new();
    for boots_left in [1, 0] {
        let last = results.last().map_or("", |(name, _): &(String, bool)| name);
        let (end, more) = boot(api.as_ref(), last);
        results.extend(more);
        match end {
            End::CannotRun => {
                eprintln!(
                    "NOT RUN: the tests in a kernel with IPVS. The line above says what it takes."
                );
                return Outcome::CouldNotRun;
            }
            End::NotAll if boots_left > 0 => {
                eprintln!(
                    "the virtual machine did not come to its end: another one runs what is left"
                );
            }
            End::NotAll | End::All => break,
        }
    }
    Outcome::Ran(results.into_iter().collect())
}

/// Runs this program in a machine with the arguments that it has here, but for tests up to the one of this name, and shows
/// what that prints.
#[expect(
    clippy::print_stderr,
    reason = "what happens in the machine is shown as it happens"
)]
fn boot(api: Option<&Api>, after: &str) -> (End, Vec<(String, bool)>) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("vm/run");
    let mut machine = Command::new(&program)
        .args(["--limit", soaked("1800", "7200")])
        .envs(api.map(Api::to_give))
        .arg(env::current_exe().expect("this program"))
        .args([HERE, after, "--test-threads=1", "--color=never"])
        .args(env::args().skip(1).filter(|argument| {
            let decided = ["--test-threads", "--color", "--format"];
            !decided.iter().any(|option| argument.starts_with(option))
        }))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let output = BufReader::new(machine.stdout.take().expect("its output"));
    let (say, said) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            say.send(line).ok();
        }
    });
    // The machine itself says of a test that it does not end, the first time or the second: if not even that is heard, it is
    // the machine that stopped.
    let silence = 2 * hang::limit() + Duration::from_mins(1);
    let (mut end, mut results) = (End::NotAll, Vec::new());
    loop {
        match said.recv_timeout(silence) {
            Ok(line) => {
                eprintln!("vm: {line}");
                results.extend(parse(&line));
                if line.starts_with("test result: ") {
                    end = End::All;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("vm: silent for {} s: it is stopped", silence.as_secs());
                let id = Pid::from_raw(machine.id().cast_signed());
                signal::kill(id, Signal::SIGTERM).expect("a process of ours");
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    reader.join().expect("it reads");
    let status = machine.wait().expect("it ends");
    if status.code() == Some(CANNOT_RUN) {
        end = End::CannotRun;
    }
    (end, results)
}

/// `test NAME ... ok`. Of one that did not end there is no outcome.
fn parse(line: &str) -> Option<(String, bool)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let is_ok = match outcome.trim() {
        "ok" => true,
        "FAILED" => false,
        _ => return None,
    };
    Some((name.trim().to_owned(), is_ok))
}
