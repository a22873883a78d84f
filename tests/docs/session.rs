//! A reader's shell: in namespaces of its own, so that ports are free, nothing of this machine is touched, and everything
//! that was started ends with it.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long one block may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// A shell, and a folder for its blocks. Everything in it is killed when it is dropped.
pub(crate) struct Session {
    shell: Child,
    input: ChildStdin,
    marks: mpsc::Receiver<String>,
    /// Scripts and what they print.
    folder: PathBuf,
    count: usize,
}

/// What came of a block.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What it printed, on both streams.
    pub(crate) printed: String,
    /// The lines whose commands failed, with their exit status.
    pub(crate) failures: Vec<(usize, i32)>,
}

// === impl Session ===

impl Session {
    /// A shell in `home`, with this search path. None, and said aloud, where the system gives no namespaces; in CI that is
    /// a failure.
    pub(crate) fn start(
        home: &Path,
        folder: &Path,
        path: &str,
        settings: &[(&str, String)],
    ) -> Option<Self> {
        let mut command = unshare()?;
        command.args(["bash", "--norc", "-s"]).current_dir(home);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("MESHLITE_") {
                command.env_remove(name);
            }
        }
        let command = command
            .env_remove("KUBECONFIG")
            .env("HOME", home)
            .env("TMPDIR", folder)
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut shell = command.spawn().expect("unshare runs");
        let input = shell.stdin.take().expect("its input");
        let output = shell.stdout.take().expect("its output");
        let (sender, marks) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        let folder = folder.to_owned();
        let mut session = Self {
            shell,
            input,
            marks,
            folder,
            count: 0,
        };
        session.say("exec 3>&1 1>/dev/null; ip link set lo up; trap 'echo \"${BASH_SOURCE[0]##*/} $LINENO $?\" >&3' ERR");
        Some(session)
    }

    /// Runs a block to its end, with another search path where one is given.
    pub(crate) fn run(&mut self, text: &str, path: Option<&str>) -> Result<Outcome, String> {
        let (script, printed) = self.script(text);
        let name = script.display();
        if let Some(path) = path {
            self.say(&format!("saved=$PATH; PATH={path}"));
        }
        self.say(&format!(". {name} >{} 2>&1 </dev/null", printed.display()));
        if path.is_some() {
            // What tells meshlite of that cluster is not for what runs here.
            self.say("PATH=$saved; unset \"${!MESHLITE_@}\"");
        }
        self.say("echo done >&3");
        let own = script
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut outcome = Outcome::default();
        loop {
            let mark = self.marks.recv_timeout(DEADLINE);
            let read = || fs::read_to_string(&printed).unwrap_or_default();
            let Ok(mark) = mark else {
                return Err(format!(
                    "it does not end, or ends the shell; so far:\n{}",
                    read()
                ));
            };
            if mark == "done" {
                outcome.printed = read();
                return Ok(outcome);
            }
            let mut words = mark.split_whitespace();
            if words.next() == Some(&own) {
                let mut number = || words.next()?.parse().ok();
                let line = number().and_then(|line: i32| usize::try_from(line).ok());
                outcome.failures.extend(line.zip(number()));
            }
        }
    }

    /// Starts a block that goes on, and gives the file that it prints to.
    pub(crate) fn start_background(&mut self, text: &str) -> PathBuf {
        let (script, printed) = self.script(text);
        self.say(&format!(
            "bash {} >{} 2>&1 </dev/null 3>&- &",
            script.display(),
            printed.display()
        ));
        printed
    }

    /// A file of its own for a block, and one for what it prints.
    fn script(&mut self, text: &str) -> (PathBuf, PathBuf) {
        self.count += 1;
        let script = self.folder.join(format!("{}.sh", self.count));
        fs::write(&script, text).expect("written");
        (script.clone(), script.with_extension("out"))
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the shell listens");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shell.kill().ok();
        self.shell.wait().ok();
    }
}

/// `unshare` as it works here: as root of a user namespace, or as root where the system gives users none.
#[expect(
    clippy::print_stderr,
    reason = "a test that is not run is said to whoever runs it"
)]
fn unshare() -> Option<Command> {
    let spaces = [
        "--net",
        "--pid",
        "--mount",
        "--mount-proc",
        "--fork",
        "--kill-child",
    ];
    for user in [&["--map-root-user"] as &[&str], &[]] {
        let command = || {
            let mut command = Command::new("unshare");
            command.args(user).args(spaces);
            command
        };
        let probe = command().arg("true").stderr(Stdio::null()).status();
        if probe.is_ok_and(|status| status.success()) {
            return Some(command());
        }
    }
    eprintln!("NOT RUN: unshare makes no namespaces here; run it as root");
    assert!(env::var_os("CI").is_none(), "CI must run this test");
    None
}
