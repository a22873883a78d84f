//! Walks through a page: every block in turn, as its fence says.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use libtest_mimic::Failed;
use meshlite_tests::programs::{meshlite, tool};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    output,
    page::{self, Block, Kind},
    root,
    session::{Outcome, Session},
    stand_ins,
};

/// How long a block may be run again until it prints what the page shows: what it looks at may take its time.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// Walks through one page.
pub(crate) fn walk(page: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(root().join(page))?;
    let blocks = page::blocks(&text)?;
    for block in &blocks {
        parse(block).map_err(|error| at(page, block, &error))?;
    }
    let Some(mut reader) = Reader::start()? else {
        return Ok(());
    };
    for arguments in page::mentions(&text) {
        reader
            .judge(&arguments)
            .map_err(|error| format!("{}: {error}", page.display()))?;
    }
    for (block, next) in blocks
        .iter()
        .zip(blocks.iter().skip(1).map(Some).chain([None]))
    {
        let shown = next.filter(|next| next.kind == Kind::Output);
        let shown = shown.map(|next| next.text.as_str());
        reader
            .take(block, shown)
            .map_err(|error| at(page, block, &error))?;
    }
    Ok(())
}

fn at(page: &Path, block: &Block, error: &str) -> String {
    format!("{}:{}: {error}", page.display(), block.line)
}

/// What is data must be that.
fn parse(block: &Block) -> Result<(), String> {
    let documents = || block.text.split("\n---\n");
    match block.kind {
        Kind::Yaml => documents().try_for_each(|document| {
            let value = yaml_serde::from_str::<yaml_serde::Value>(document);
            value.map(drop).map_err(|error| error.to_string())
        }),
        Kind::Json => {
            let value = serde_json::from_str::<serde_json::Value>(&block.text);
            value.map(drop).map_err(|error| error.to_string())
        }
        _ => Ok(()),
    }
}

/// Who reads the page: a shell in a folder like a fresh clone.
struct Reader {
    meshlite: PathBuf,
    session: Session,
    stand_ins: String,
    /// Goes when the session has gone.
    _folder: TempDir,
}

// === impl Reader ===

impl Reader {
    /// None, and said aloud, where something is missing; in CI that is a failure.
    fn start() -> Result<Option<Self>, Failed> {
        let (Some(meshlite), Some(grpcurl), Some(_), Some(_)) =
            (meshlite(), tool("grpcurl"), tool("helm"), tool("curl"))
        else {
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let [clone, scripts, programs, bin] =
            ["clone", "scripts", "stand-ins", "bin"].map(|name| folder.path().join(name));
        for folder in [&clone, &scripts, &bin] {
            fs::create_dir(folder)?;
        }
        for part in ["deploy", "docs"] {
            copy(&root().join(part), &clone.join(part))?;
        }
        stand_ins::benchmarks(&clone.join("tests/bench"));
        fs::copy(
            root().join("tests/helm/cases/minimal.yaml"),
            clone.join("my-values.yaml"),
        )?;
        stand_ins::write(&programs);
        let settings = stand_ins::settings(folder.path(), &meshlite);
        std::os::unix::fs::symlink(&meshlite, bin.join("meshlite"))?;
        std::os::unix::fs::symlink(programs.join("cargo"), bin.join("cargo"))?;
        let tools = grpcurl.parent().unwrap_or(&bin);
        let path = env::var_os("PATH").unwrap_or_default();
        let path = format!("{}:{}:{}", bin.display(), tools.display(), path.display());
        let session = Session::start(&clone, &scripts, &path, &settings);
        Ok(session.map(|session| Self {
            meshlite,
            session,
            stand_ins: programs.display().to_string(),
            _folder: folder,
        }))
    }

    /// Whether meshlite takes these arguments: what is wrong before `--help` is an error.
    fn judge(&self, arguments: &[String]) -> Result<(), String> {
        let mut command = Command::new(&self.meshlite);
        let output = command.args(arguments).arg("--help").output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`meshlite {}`: {said}", arguments.join(" ")))
    }

    /// Does what a block says, and compares what it prints with what the page shows.
    fn take(&mut self, block: &Block, shown: Option<&str>) -> Result<(), String> {
        match (block.kind, shown) {
            (Kind::Run, None) => judge(block, &self.session.run(&block.text, None)?),
            (Kind::Run, Some(shown)) => eventually(|| {
                let outcome = self.session.run(&block.text, None)?;
                judge(block, &outcome)?;
                as_shown(shown, &outcome.printed)
            }),
            (Kind::Background, Some(shown)) => {
                let printed = self.session.start_background(&block.text);
                let shown = format!("{shown}\n…");
                eventually(|| as_shown(&shown, &fs::read_to_string(&printed).unwrap_or_default()))
            }
            (Kind::Background, None) => Err("what does it print when it is there?".to_owned()),
            (Kind::Elsewhere, _) => judge(
                block,
                &self.session.run(&block.text, Some(&self.stand_ins))?,
            ),
            (Kind::Output | Kind::Picture | Kind::Yaml | Kind::Json, _) => Ok(()),
        }
    }
}

/// Whether the commands failed that the page says fail, and no other.
fn judge(block: &Block, outcome: &Outcome) -> Result<(), String> {
    let said = block.text.lines().zip(1..).filter_map(|(line, number)| {
        let (_, status) = line.split_once("# exits with ")?;
        let status = status.split_whitespace().next()?.parse().ok()?;
        Some((number, status))
    });
    let mut failures = outcome.failures.clone();
    failures.dedup();
    let said: Vec<(usize, i32)> = said.filter(|(_, status)| *status != 0).collect();
    if failures == said {
        return Ok(());
    }
    let printed = &outcome.printed;
    let lines = |list: &[(usize, i32)]| {
        let each = list
            .iter()
            .map(|(line, status)| format!("line {} with {status}", block.line + line - 1));
        each.collect::<Vec<_>>().join(", ")
    };
    Err(format!(
        "failed: {}; should fail: {}; it prints\n{printed}",
        lines(&failures),
        lines(&said)
    ))
}

fn as_shown(shown: &str, printed: &str) -> Result<(), String> {
    output::compare(shown, printed).map_err(|error| format!("{error}; it prints\n{printed}"))
}

/// Tries until it goes well; the last failure is the answer.
fn eventually(mut attempt: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(_) if Instant::now() < deadline => thread::park_timeout(INTERVAL),
            outcome => return outcome,
        }
    }
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
