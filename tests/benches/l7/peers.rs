//! The others, set up for the same work: one core, routing by host and path, kept connections to the origins, and the same
//! headers about the client. Each is set up as its manual has it for streaming; nothing is left out that the ingress does.

mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod pingora;
mod relay;

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use meshlite_tests::process::{free_port, wait_until_ready_as};

pub(crate) use self::{nginx::origin, relay::relay};
use crate::{
    objects::{HOST, Host, Origins, PATH},
    plan::Plan,
    stage::{FLOOR, PEERS, Ports, Proxy},
};

/// What a peer is set up with.
#[derive(Clone, Copy, Debug)]
struct Setting<'a> {
    folder: &'a Path,
    hosts: &'a [Host],
    origins: Origins,
    ports: Ports,
}

impl Setting<'_> {
    /// A certificate with its key.
    fn pair(&self) -> String {
        self.folder.join("pair.pem").display().to_string()
    }

    /// The first host, for listeners that have no more.
    fn first(&self) -> &[Host] {
        self.hosts.get(..1).unwrap_or_default()
    }
}

/// Starts those that are there, and says why the rest is not.
pub(crate) async fn start(
    plan: &Plan,
    folder: &Path,
    hosts: &[Host],
    origins: Origins,
) -> anyhow::Result<(Vec<Proxy>, BTreeMap<&'static str, String>)> {
    let mut proxies = Vec::new();
    let mut missing = BTreeMap::new();
    for name in PEERS.into_iter().chain([FLOOR]) {
        if plan.is_quick && ["pingora", "caddy"].contains(&name) {
            missing.insert(name, "not in a quick run".to_owned());
            continue;
        }
        let setting = Setting {
            folder,
            hosts,
            origins,
            ports: ports()?,
        };
        match one(name, setting).await {
            Ok(proxy) => proxies.push(proxy),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                missing.insert(name, format!("{error:#}"));
            }
        }
    }
    Ok((proxies, missing))
}

async fn one(name: &'static str, setting: Setting<'_>) -> anyhow::Result<Proxy> {
    let proxy = match name {
        "nginx" => nginx::start(&program(name)?, setting),
        "haproxy" => haproxy::start(&program(name)?, setting),
        "envoy" => envoy::start(&program(name)?, setting),
        "pingora" => pingora::start(&program("l7-pingora")?, setting),
        "caddy" => caddy::start(&program(name)?, setting),
        _ => relay::start(setting),
    }?;
    let log = setting.folder.join(format!("{name}.log"));
    wait_until_ready_as(HOST, proxy.ports.http, PATH, &log).await?;
    Ok(proxy)
}

/// What is on PATH, where `tests/tools/ensure` puts it if it can.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut programs = env::split_paths(&path).map(|folder| folder.join(name));
    programs
        .find(|program| program.is_file())
        .context("it is not installed; tests/tools/ensure says why")
}

fn ports() -> anyhow::Result<Ports> {
    Ok(Ports {
        address: "127.0.0.1",
        http: free_port()?,
        https: free_port()?,
        h2c: free_port()?,
        logged: Some(free_port()?),
        metrics: None,
    })
}
