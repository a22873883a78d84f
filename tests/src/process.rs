//! A server as a process of its own: started, measured, killed.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

/// A running process. Killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    id: u32,
}

// === impl Process ===

impl Process {
    /// Starts a program. What it logs goes to a file.
    pub fn start(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let log = fs::File::options().create(true).append(true).open(log)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let id = child.id().context("the process is gone already")?;
        Ok(Self { child, id })
    }

    /// The first line that it prints.
    pub async fn first_line(&mut self) -> anyhow::Result<String> {
        let out = self
            .child
            .stdout
            .take()
            .context("its output was read before")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).await?;
        Ok(line.trim().to_owned())
    }

    /// Writes a line to its input.
    pub async fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("it has no input")?;
        input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(input.flush().await?)
    }

    /// Ends it with SIGKILL, and waits until it has ended.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Time on a processor so far, by all threads that live.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.id))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            let on_cpu = schedstat
                .split_whitespace()
                .next()
                .context("an empty schedstat")?;
            total += on_cpu.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(total))
    }

    /// Resident memory now, in MB.
    pub fn resident_mb(&self) -> anyhow::Result<u64> {
        self.memory_mb("VmRSS:")
    }

    /// The most resident memory so far, in MB.
    pub fn peak_mb(&self) -> anyhow::Result<u64> {
        self.memory_mb("VmHWM:")
    }

    fn memory_mb(&self, field: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
        Ok(kilobytes.context("no such field")?.parse::<u64>()? / 1024)
    }
}

/// Asks an HTTP server on the loopback for a path until it answers 200, for two minutes.
pub async fn wait_until_ready(port: u16, path: &str, log: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut nearest = "no answer".to_owned();
    while Instant::now() < deadline {
        match get(port, path).await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => return Ok(()),
            Ok(answer) => nearest = answer,
            Err(error) => nearest = error.to_string(),
        }
        sleep(Duration::from_millis(20)).await;
    }
    bail!("not ready: {nearest}; its log is {}", log.display());
}

/// The body of an answer, or the whole answer where it has none.
pub async fn get(port: u16, path: &str) -> anyhow::Result<String> {
    use tokio::io::AsyncReadExt as _;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A port that nobody listens on now.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

/// The program of this name beside this one.
pub fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
