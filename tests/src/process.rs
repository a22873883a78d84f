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
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, ChildStdin, Command},
    time::{Instant, sleep, timeout},
};

use crate::port::ReservedPort;

/// Where `utime` is in /proc/PID/stat, counted from the field after the name; `stime` follows, and both of its children.
const STAT_UTIME: usize = 11;

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

    /// Its input, which may be taken once.
    pub fn input(&mut self) -> anyhow::Result<ChildStdin> {
        self.child
            .stdin
            .take()
            .context("its input was taken before")
    }

    /// Ends it with SIGKILL, and waits until it has ended.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// What the system calls it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Waits until it has ended by itself, for two minutes.
    pub async fn ended(mut self) -> anyhow::Result<()> {
        let ended = timeout(Duration::from_mins(2), self.child.wait()).await;
        ended.context("it does not end")??;
        Ok(())
    }

    /// Time on a processor so far, by all threads that there were. Linux says it in steps of 10 ms.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.id)
    }

    /// Resident memory now, in MB.
    pub fn resident_mb(&self) -> anyhow::Result<u64> {
        memory_mb_of(self.id, "VmRSS:")
    }

    /// The most resident memory so far, in MB.
    pub fn peak_mb(&self) -> anyhow::Result<u64> {
        memory_mb_of(self.id, "VmHWM:")
    }
}

/// Time on a processor so far of a process and of those of its children that it has waited for, in steps of 10 ms.
pub fn cpu_of(id: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program may hold anything; what follows is split by spaces.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(STAT_UTIME)
        .take(4)
        .map(str::parse::<u64>)
        .sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// A field of `/proc/PID/status` that is an amount of memory, in MB.
pub fn memory_mb_of(id: u32, field: &str) -> anyhow::Result<u64> {
    Ok(memory_kb_of(id, field)? / 1024)
}

/// As [`memory_mb_of`], in KB.
pub fn memory_kb_of(id: u32, field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kilobytes.context("no such field")?.parse()?)
}

/// Asks an HTTP server on the loopback for a path until it answers 200, for two minutes.
pub async fn wait_until_ready(port: u16, path: &str, log: &Path) -> anyhow::Result<()> {
    wait_until_ready_as("localhost", port, path, log).await
}

/// As [`wait_until_ready`], for a server that has several hosts.
pub async fn wait_until_ready_as(
    host: &str,
    port: u16,
    path: &str,
    log: &Path,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut nearest = "no answer".to_owned();
    while Instant::now() < deadline {
        match get_as(host, port, path).await {
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
    get_as("localhost", port, path).await
}

async fn get_as(host: &str, port: u16, path: &str) -> anyhow::Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A port that nobody has now. What found it never listened, so that a program which another test starts at this moment, and
/// which still has that socket, is in nobody's way.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(ReservedPort::new()?.number())
}

/// The program of this name beside this one.
pub fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
