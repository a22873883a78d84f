//! The program of the image: how large it is, and how long it takes from its start until it is ready.
//!
//! ```text
//! program, deploy/examples ─> version | control plane | all planes in one process ─> ready ─> figures
//! ```
#![expect(
    clippy::disallowed_types,
    reason = "measures wall time; nothing is paused here"
)]

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use meshlite_tests::{
    figures::{Figures, median, millis},
    process::{Process, free_port},
};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a port: a hundredth of what is to be reached.
const LOOK: Duration = Duration::from_micros(500);
const BYTES_PER_MB: f64 = 1e6;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (program, runs) = match arguments.as_slice() {
        [program] => (program, 41),
        [program, quick] if quick == "--quick" => (program, 11),
        _ => bail!("usage: bench-image PROGRAM [--quick]"),
    };
    let bench = Bench {
        program: fs::canonicalize(program).with_context(|| program.clone())?,
        manifests: fs::canonicalize("deploy/examples").context("run it in the project's folder")?,
        folder: tempfile::tempdir()?,
    };
    let mut version = Vec::new();
    let mut control_plane = Vec::new();
    let mut standalone = Vec::new();
    for _ in 0..runs {
        version.push(bench.version()?);
        control_plane.push(bench.ready("control-plane", &[]).await?);
        let (http, https) = (free_port()?, free_port()?);
        let on_free_ports = [
            "--mode=userspace".to_owned(),
            "--no-sysctls".to_owned(),
            "--address=127.0.0.1".to_owned(),
            format!("--ingress-http-port={http}"),
            format!("--ingress-https-port={https}"),
            "--ingress-admin-listen=".to_owned(),
            "--metrics-bind-address=".to_owned(),
            "--healthz-bind-address=".to_owned(),
        ];
        standalone.push(bench.ready("standalone", &on_free_ports).await?);
    }
    let mut figures = Figures::default();
    figures.add(
        "program_mb",
        bench.megabytes()?,
        "the static program, of 1,000,000 bytes each",
    );
    for (name, times, what) in [
        (
            "version_ms",
            version,
            "`meshlite version`, from its start to its end",
        ),
        (
            "ready_ms",
            control_plane,
            "a control plane that serves deploy/examples, until /readyz says so",
        ),
        (
            "standalone_ready_ms",
            standalone,
            "all planes in one process with the same files, until /readyz says so",
        ),
    ] {
        let slowest = times.iter().max().copied().unwrap_or_default();
        figures.add(name, millis(median(times)), what);
        figures.add(
            &format!("slowest_{name}"),
            millis(slowest),
            "the same, the slowest start",
        );
    }
    figures.print("The program of the image", io::stdout().lock())?;
    Ok(())
}

/// What is started, and on what.
struct Bench {
    program: PathBuf,
    manifests: PathBuf,
    folder: tempfile::TempDir,
}

impl Bench {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn megabytes(&self) -> anyhow::Result<f64> {
        let bytes = fs::metadata(&self.program)?.len();
        Ok((bytes as f64 / BYTES_PER_MB * 100.0).round() / 100.0)
    }

    fn version(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let status = Command::new(&self.program)
            .arg("version")
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "version: {status}");
        Ok(start.elapsed())
    }

    /// Starts a plane in file mode, waits until it is ready, and kills it.
    async fn ready(&self, command: &str, more: &[String]) -> anyhow::Result<Duration> {
        let (grpc, admin) = (free_port()?, free_port()?);
        let mut arguments = vec![
            command.to_owned(),
            format!("--manifests={}", self.manifests.display()),
            format!("--listen=127.0.0.1:{grpc}"),
            format!("--admin-listen=127.0.0.1:{admin}"),
            "--insecure".to_owned(),
        ];
        arguments.extend(more.iter().cloned());
        let log = self.folder.path().join(command);
        let start = Instant::now();
        let process = Process::start(&self.program, arguments, &log)?;
        let took = loop {
            let nearest = match answer(admin) {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => break start.elapsed(),
                Ok(answer) => answer,
                Err(error) => error.to_string(),
            };
            ensure!(
                start.elapsed() < PATIENCE,
                "{command} is not ready: {nearest}; its log: {}",
                fs::read_to_string(&log)?
            );
            thread::park_timeout(LOOK);
        };
        process.kill().await?;
        Ok(took)
    }
}

/// What a server says to whether it is ready.
fn answer(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
