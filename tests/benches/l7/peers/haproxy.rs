//! haproxy, which finds routes in a map of what hosts and paths begin with.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;
use meshlite_tests::process::free_port;

use super::Setting;
use crate::{
    clients::Sessions,
    objects::Origin,
    stage::{PROXY_CORE, Ports, Proxy, pinned},
};

const HEADERS: &str = "  option forwardfor\n  http-request set-header X-Real-IP %[src]\n  http-request set-header X-Forwarded-Host \
                       %[req.hdr(host)]\n  http-request set-header X-Forwarded-Proto http\n  http-request set-header \
                       X-Forwarded-Port %[dst_port]\n  unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid\n  \
                       unique-id-header X-Request-ID\n";

pub(super) fn start(program: &Path, setting: Setting<'_>) -> anyhow::Result<Proxy> {
    let (ports, metrics) = (setting.ports, free_port()?);
    let logged = ports.logged.context("no port for its log")?;
    let map = setting.folder.join("haproxy.map");
    let mut lines = String::new();
    for host in setting.hosts {
        for (prefix, origin) in &host.routes {
            writeln!(lines, "{}{prefix} {}", host.name, origin.name())?;
        }
    }
    fs::write(&map, lines)?;
    let route = format!("  use_backend %[base,map_beg({})]\n", map.display());
    let pair = setting.pair();
    let mut config = format!(
        "global\n  nbthread 1\n  maxconn 8192\n  log stdout format raw local0\ndefaults\n  mode http\n  timeout client 60s\n  timeout \
         server 60s\n  timeout tunnel 60s\n  timeout connect 5s\n  option http-keep-alive\nfrontend all\n  bind 127.0.0.1:{} \
         backlog 4096\n  bind 127.0.0.1:{} proto h2 backlog 4096\n  bind 127.0.0.1:{} ssl crt {pair} alpn h2,http/1.1 backlog \
         4096\n{HEADERS}{route}frontend logged\n  bind 127.0.0.1:{logged} backlog 4096\n  log global\n  option httplog\n\
         {HEADERS}{route}frontend metrics\n  bind 127.0.0.1:{metrics}\n  http-request use-service prometheus-exporter\n",
        ports.http, ports.h2c, ports.https
    );
    for origin in Origin::ALL {
        let protocol = match origin {
            Origin::Web | Origin::App => "",
            Origin::Grpc => " proto h2",
        };
        let (name, at) = (origin.name(), setting.origins.of(origin));
        write!(
            config,
            "backend {name}\n  http-reuse always\n  server {name} {at}{protocol} pool-max-conn 1024\n"
        )?;
    }
    let file = setting.folder.join("haproxy.cfg");
    fs::write(&file, config)?;
    let arguments = ["-db", "-f", &file.display().to_string()].map(str::to_owned);
    let log = setting.folder.join("haproxy.log");
    Ok(Proxy {
        name: "haproxy",
        process: pinned(PROXY_CORE, program, arguments, &log)?,
        ports: Ports {
            metrics: Some((metrics, "/metrics")),
            ..ports
        },
        sessions: Sessions::new()?,
    })
}
