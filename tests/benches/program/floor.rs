//! The least that it takes: other programs, [bare transactions](copy) and [bare loops](bare), that put the same into the
//! kernel.

pub(crate) mod bare;
pub(crate) mod copy;
mod follower;
mod watched;

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use meshlite_tests::{
    figures::median,
    world::{Host, Namespace, World},
};

use crate::objects::{PORT, Size, TARGET, vip};

/// What nft 1.0.6 prints in rules and does not read within a concatenation: there are a few, however many Services.
const UNREADABLE: [&str; 2] = ["ct original proto-dst", "numgen random"];

/// How long `nft -f` takes for the table that a node has, on a node that has none.
pub(crate) fn nft(node: &Host, rounds: u16) -> anyhow::Result<Duration> {
    let table = node.output("nft", &["list", "table", "inet", "meshlite"])?;
    let is_readable = |line: &&str| !UNREADABLE.iter().any(|word| line.contains(word));
    let rules: Vec<_> = table.lines().filter(is_readable).collect();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules");
    fs::write(&file, rules.join("\n"))?;
    let file = file.display().to_string();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let world = World::new(&[0])?;
        let started = Instant::now();
        world.node(0).output("nft", &["-f", &file])?;
        times.push(started.elapsed());
    }
    Ok(median(times))
}

/// How long `nft -f` takes for this script, as it comes from a pipe.
fn script(script: &str) -> anyhow::Result<Duration> {
    let started = Instant::now();
    feed(Command::new("nft").args(["-f", "-"]), script)?;
    Ok(started.elapsed())
}

/// How long `ipvsadm -R` takes.
pub(crate) fn ipvsadm(size: Size, rounds: u16) -> anyhow::Result<Duration> {
    let mut rules = String::new();
    for number in 0..size.services {
        let to = format!("-t {}:{PORT}", vip(number));
        writeln!(rules, "-A {to} -s rr")?;
        for ip in size.endpoints_of(number) {
            writeln!(rules, "-a {to} -r {ip}:{TARGET} -m -w 1")?;
        }
    }
    let mut times = Vec::new();
    for _ in 0..rounds {
        let namespace = host()?;
        let started = Instant::now();
        namespace.run(|| feed(Command::new("ipvsadm").arg("-R"), &rules))?;
        times.push(started.elapsed());
    }
    Ok(median(times))
}

/// A host with nothing but a loopback. In a world, which takes an emulated machine seconds to make, all takes as long.
fn host() -> anyhow::Result<Namespace> {
    let namespace = Namespace::new()?;
    let mut ip = Command::new("ip");
    let up = namespace.run(|| ip.args(["link", "set", "lo", "up"]).status())?;
    ensure!(up.success(), "ip ended with {up}");
    Ok(namespace)
}

/// Runs a program that reads this.
fn feed(program: &mut Command, input: &str) -> anyhow::Result<()> {
    let mut running = program.stdin(Stdio::piped()).spawn()?;
    let mut pipe = running.stdin.take().context("it has no input")?;
    pipe.write_all(input.as_bytes())?;
    drop(pipe);
    let status = running.wait()?;
    ensure!(status.success(), "{program:?} ended with {status}");
    Ok(())
}
