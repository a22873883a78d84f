//! nginx: before the origins, and as one of them.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use meshlite_tests::process::{Process, free_port};

use super::Setting;
use crate::{
    clients::Sessions,
    objects::{Host, LARGE_PATH, Origin},
    stage::{LOAD_CORE, PROXY_CORE, Proxy, pinned},
};

/// Bytes of every answer …
const BODY: usize = 1024;
/// … and of the large one.
const LARGE: usize = 10 << 20;

const HEADERS: [(&str, &str); 7] = [
    ("Host", "$host"),
    ("X-Forwarded-For", "$remote_addr"),
    ("X-Real-IP", "$remote_addr"),
    ("X-Forwarded-Host", "$host"),
    ("X-Forwarded-Proto", "$scheme"),
    ("X-Forwarded-Port", "$server_port"),
    ("X-Request-ID", "$request_id"),
];

/// Starts what answers behind all proxies.
pub(crate) fn origin(folder: &Path, at: SocketAddr) -> anyhow::Result<Process> {
    let body = "x".repeat(BODY);
    let large = folder.join("large");
    fs::write(&large, vec![b'x'; LARGE])?;
    let config = format!(
        "{}events {{ worker_connections 8192; }}\nhttp {{\n  access_log off;\n  sendfile on;\n  keepalive_requests 1000000000;\n  \
         keepalive_timeout 600s;\n  server {{\n    listen {at} backlog=8192;\n    location / {{ return 200 \"{body}\"; }}\n    \
         location = {LARGE_PATH} {{ alias {}; }}\n  }}\n}}\n",
        head(folder, "origin"),
        large.display()
    );
    run(Path::new("nginx"), folder, "origin", LOAD_CORE, &config)
}

/// Starts it as a proxy.
pub(super) fn start(program: &Path, setting: Setting<'_>) -> anyhow::Result<Proxy> {
    let (ports, metrics) = (setting.ports, free_port()?);
    let logged = ports.logged.context("no port for its log")?;
    let mut config = format!(
        "{}events {{ worker_connections 16384; }}\nhttp {{\n  access_log off;\n  keepalive_requests 1000000000;\n  \
         client_max_body_size 0;\n  proxy_request_buffering off;\n  proxy_max_temp_file_size 0;\n  \
         server_names_hash_max_size 16384;\n  ssl_protocols TLSv1.2 TLSv1.3;\n  proxy_http_version 1.1;\n",
        head(setting.folder, "nginx")
    );
    for origin in Origin::ALL {
        writeln!(
            config,
            "  upstream {} {{ server {}; keepalive 1024; keepalive_requests 1000000000; }}",
            origin.name(),
            setting.origins.of(origin)
        )?;
    }
    let http = format!("listen 127.0.0.1:{};", ports.http);
    let pair = setting.pair();
    // Of all servers that share a listener, one may say how it listens.
    let first = format!(
        "listen 127.0.0.1:{} backlog=4096; listen 127.0.0.1:{} http2 backlog=4096; listen 127.0.0.1:{} ssl backlog=4096; \
         ssl_certificate {pair}; ssl_certificate_key {pair};",
        ports.http, ports.h2c, ports.https
    );
    for (number, host) in setting.hosts.iter().enumerate() {
        let listens = if number == 0 { &first } else { &http };
        server(&mut config, listens, host)?;
    }
    let log = setting.folder.join("access.log");
    let with_log = format!(
        "listen 127.0.0.1:{logged} backlog=4096; access_log {} combined buffer=64k flush=1s;",
        log.display()
    );
    for host in setting.first() {
        server(&mut config, &with_log, host)?;
    }
    write!(
        config,
        "  server {{ listen 127.0.0.1:{metrics}; location / {{ stub_status; }} }}\n}}\n"
    )?;
    Ok(Proxy {
        name: "nginx",
        process: run(program, setting.folder, "nginx", PROXY_CORE, &config)?,
        ports: crate::stage::Ports {
            metrics: Some((metrics, "/")),
            ..ports
        },
        sessions: Sessions::new()?,
    })
}

fn server(config: &mut String, listens: &str, host: &Host) -> std::fmt::Result {
    write!(
        config,
        "  server {{\n    {listens}\n    server_name {};\n",
        host.name
    )?;
    for (prefix, origin) in &host.routes {
        let name = origin.name();
        let (set, pass, connection) = match origin {
            Origin::Web => (
                "proxy_set_header",
                format!("proxy_pass http://{name}"),
                "Connection \"\"",
            ),
            Origin::App => (
                "proxy_set_header",
                format!("proxy_set_header Upgrade $http_upgrade; proxy_pass http://{name}"),
                "Connection $http_connection",
            ),
            Origin::Grpc => (
                "grpc_set_header",
                format!("grpc_pass grpc://{name}"),
                "TE trailers",
            ),
        };
        write!(
            config,
            "    location {prefix} {{ {pass}; {set} {connection};"
        )?;
        for (header, value) in HEADERS {
            write!(config, " {set} {header} {value};")?;
        }
        config.push_str(" }\n");
    }
    config.push_str("  }\n");
    Ok(())
}

fn head(folder: &Path, name: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nmaster_process off;\nworker_rlimit_nofile 65536;\npid {folder}/{name}.pid;\nerror_log {folder}/{name}.log \
         warn;\n"
    )
}

fn run(
    program: &Path,
    folder: &Path,
    name: &str,
    core: usize,
    config: &str,
) -> anyhow::Result<Process> {
    let file: PathBuf = folder.join(format!("{name}.conf"));
    fs::write(&file, config)?;
    let arguments = ["-c".to_owned(), file.display().to_string()];
    pinned(
        core,
        program,
        arguments,
        &folder.join(format!("{name}.log")),
    )
}
