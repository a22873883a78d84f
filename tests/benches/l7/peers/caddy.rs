//! Caddy, which is written in Go; held to one processor by where it may run.

use std::{fs, path::Path};

use anyhow::Context as _;
use meshlite_tests::process::free_port;
use serde_json::{Value, json};

use super::Setting;
use crate::{
    clients::Sessions,
    objects::{Host, Origin, Origins},
    stage::{PROXY_CORE, Ports, Proxy, pinned},
};

pub(super) fn start(program: &Path, setting: Setting<'_>) -> anyhow::Result<Proxy> {
    let (ports, admin) = (setting.ports, free_port()?);
    let logged = ports.logged.context("no port for its log")?;
    let all = routes(setting.hosts, setting.origins);
    let first = routes(setting.first(), setting.origins);
    let pair = setting.pair();
    let mut https = server(ports.https, &["h1", "h2"], &first);
    https["tls_connection_policies"] = json!([{}]);
    let mut with_log = server(logged, &["h1"], &first);
    with_log["logs"] = json!({"default_logger_name": "access"});
    let config = json!({
        "admin": {"listen": format!("127.0.0.1:{admin}"), "config": {"persist": false}},
        "logging": {"logs": {
            "default": {"level": "WARN", "exclude": ["http.log.access.access"]},
            "access": {"writer": {"output": "stdout"}, "include": ["http.log.access.access"]},
        }},
        "apps": {
            "tls": {"certificates": {"load_files": [{"certificate": pair, "key": pair}]}},
            "http": {
                "metrics": {},
                "servers": {
                    "http": server(ports.http, &["h1"], &all),
                    "h2c": server(ports.h2c, &["h1", "h2c"], &first),
                    "https": https,
                    "logged": with_log,
                },
            },
        },
    });
    let file = setting.folder.join("caddy.json");
    fs::write(&file, config.to_string())?;
    let file = file.display().to_string();
    let log = setting.folder.join("caddy.log");
    Ok(Proxy {
        name: "caddy",
        process: pinned(PROXY_CORE, program, ["run", "--config", &file], &log)?,
        ports: Ports {
            metrics: Some((admin, "/metrics")),
            ..ports
        },
        sessions: Sessions::new()?,
    })
}

fn server(port: u16, protocols: &[&str], routes: &Value) -> Value {
    json!({
        "listen": [format!("127.0.0.1:{port}")],
        "protocols": protocols,
        "automatic_https": {"disable": true},
        "routes": routes,
    })
}

fn routes(hosts: &[Host], origins: Origins) -> Value {
    let hosts = hosts.iter().map(|host| {
        let routes = host.routes.iter().map(|(prefix, origin)| {
            json!({"match": [{"path": [format!("{prefix}*")]}], "handle": [proxy(*origin, origins)], "terminal": true})
        });
        json!({
            "match": [{"host": [host.name]}],
            "handle": [{"handler": "subroute", "routes": routes.collect::<Vec<_>>()}],
            "terminal": true,
        })
    });
    hosts.collect::<Vec<_>>().into()
}

fn proxy(origin: Origin, origins: Origins) -> Value {
    let versions = match origin {
        Origin::Web | Origin::App => ["1.1"],
        Origin::Grpc => ["h2c"],
    };
    json!({
        "handler": "reverse_proxy",
        "upstreams": [{"dial": origins.of(origin).to_string()}],
        "flush_interval": -1,
        "transport": {
            "protocol": "http",
            "versions": versions,
            "keep_alive": {"max_idle_conns_per_host": 1024},
        },
        "headers": {"request": {"set": {
            "X-Real-Ip": ["{http.request.remote.host}"],
            "X-Forwarded-Port": ["{http.request.local.port}"],
            "X-Request-Id": ["{http.request.uuid}"],
        }}},
    })
}
