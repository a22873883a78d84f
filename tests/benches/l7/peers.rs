//! The others, set up for the same work: one core, routing by host and path, kept connections to the origin, and the same
//! headers about the client.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use meshlite_tests::process::{Process, free_port, wait_until_ready_as};

use crate::{
    objects::{HOST, PATH},
    stage::{LOAD_CORE, PROXY_CORE, Ports, Proxy, pinned},
};

/// Bytes of every answer.
const BODY: usize = 1024;

/// Starts what answers behind all proxies.
pub(crate) fn origin(folder: &Path, at: SocketAddr) -> anyhow::Result<Process> {
    let body = "x".repeat(BODY);
    let config = format!(
        "{}events {{ worker_connections 8192; }}\nhttp {{\n  access_log off;\n  keepalive_requests 1000000000;\n  \
         keepalive_timeout 600s;\n  server {{\n    listen {at} backlog=8192;\n    location / {{ return 200 \"{body}\"; }}\n  }}\n}}\n",
        nginx_head(folder, "origin")
    );
    nginx(folder, "origin", LOAD_CORE, &config)
}

/// Starts the others that are there.
pub(crate) async fn start(folder: &Path, origin: SocketAddr) -> anyhow::Result<Vec<Proxy>> {
    let mut proxies = vec![nginx_proxy(folder, origin)?, haproxy(folder, origin)?];
    if let Some(program) = envoy_program() {
        proxies.push(envoy(&program, folder, origin)?);
    }
    for proxy in &proxies {
        let log = folder.join(format!("{}.log", proxy.name));
        wait_until_ready_as(HOST, proxy.ports.http, PATH, &log).await?;
    }
    Ok(proxies)
}

fn ports() -> anyhow::Result<Ports> {
    Ok(Ports {
        address: "127.0.0.1",
        http: free_port()?,
        https: free_port()?,
        h2c: free_port()?,
        logged: free_port()?,
    })
}

fn nginx_head(folder: &Path, name: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nmaster_process off;\nworker_rlimit_nofile 65536;\npid {folder}/{name}.pid;\nerror_log {folder}/{name}.log \
         warn;\n"
    )
}

fn nginx(folder: &Path, name: &str, core: &str, config: &str) -> anyhow::Result<Process> {
    let file = folder.join(format!("{name}.conf"));
    fs::write(&file, config)?;
    let arguments = ["-c".to_owned(), file.display().to_string()];
    pinned(
        core,
        Path::new("nginx"),
        arguments,
        &folder.join(format!("{name}.log")),
    )
}

fn nginx_proxy(folder: &Path, origin: SocketAddr) -> anyhow::Result<Proxy> {
    let ports = ports()?;
    let pair = folder.join("pair.pem");
    let pair = pair.display();
    let Ports {
        http,
        https,
        h2c,
        logged,
        address: _,
    } = ports;
    let location = "location /p0/ {\n      proxy_pass http://origin;\n      proxy_http_version 1.1;\n      proxy_set_header \
                    Connection \"\";\n      proxy_set_header Host $host;\n      proxy_set_header X-Forwarded-For \
                    $remote_addr;\n      proxy_set_header X-Real-IP $remote_addr;\n      proxy_set_header X-Forwarded-Host \
                    $host;\n      proxy_set_header X-Forwarded-Proto $scheme;\n      proxy_set_header X-Forwarded-Port \
                    $server_port;\n      proxy_set_header X-Request-ID $request_id;\n    }";
    let config = format!(
        "{}events {{ worker_connections 16384; }}\nhttp {{\n  access_log off;\n  keepalive_requests 1000000000;\n  upstream origin \
         {{\n    server {origin};\n    keepalive 1024;\n    keepalive_requests 1000000000;\n  }}\n  server {{\n    listen \
         127.0.0.1:{http} backlog=4096;\n    listen 127.0.0.1:{h2c} http2 backlog=4096;\n    listen 127.0.0.1:{https} ssl \
         backlog=4096;\n    ssl_certificate {pair};\n    ssl_certificate_key {pair};\n    server_name {HOST};\n    {location}\n  \
         }}\n  server {{\n    listen 127.0.0.1:{logged} backlog=4096;\n    server_name {HOST};\n    access_log {}/access.log \
         combined buffer=64k flush=1s;\n    {location}\n  }}\n}}\n",
        nginx_head(folder, "nginx"),
        folder.display(),
    );
    Ok(Proxy {
        name: "nginx",
        process: nginx(folder, "nginx", PROXY_CORE, &config)?,
        ports,
    })
}

fn haproxy(folder: &Path, origin: SocketAddr) -> anyhow::Result<Proxy> {
    let ports = ports()?;
    let Ports {
        http, https, h2c, ..
    } = ports;
    let config = format!(
        "global\n  nbthread 1\n  maxconn 8192\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect \
         5s\n  option http-keep-alive\nfrontend all\n  bind 127.0.0.1:{http} backlog 4096\n  bind 127.0.0.1:{h2c} proto h2 backlog \
         4096\n  bind 127.0.0.1:{https} ssl crt {}/pair.pem alpn h2,http/1.1 backlog 4096\n  acl host hdr(host) -i {HOST}\n  acl \
         path path_beg /p0/\n  option forwardfor\n  http-request set-header X-Real-IP %[src]\n  http-request set-header \
         X-Forwarded-Host %[req.hdr(host)]\n  http-request set-header X-Forwarded-Proto http\n  http-request set-header \
         X-Forwarded-Port %[dst_port]\n  unique-id-format %{{+X}}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid\n  unique-id-header \
         X-Request-ID\n  use_backend origin if host path\nbackend origin\n  http-reuse always\n  server origin {origin} pool-max-conn \
         1024\n",
        folder.display()
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, config)?;
    let arguments = [
        "-db".to_owned(),
        "-f".to_owned(),
        file.display().to_string(),
    ];
    let log = folder.join("haproxy.log");
    Ok(Proxy {
        name: "haproxy",
        process: pinned(PROXY_CORE, Path::new("haproxy"), arguments, &log)?,
        ports,
    })
}

/// What `tests/tools/ensure` has installed, if it could.
fn envoy_program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut programs = env::split_paths(&path).map(|folder| folder.join("envoy"));
    programs.find(|program| program.is_file())
}

fn envoy(program: &Path, folder: &Path, origin: SocketAddr) -> anyhow::Result<Proxy> {
    let ports = ports()?;
    let listener = |name: &str, port: u16, tls: &str| {
        format!(
            r#"  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          use_remote_address: true
          route_config:
            virtual_hosts:
            - name: host
              domains: ["{HOST}"]
              request_headers_to_add:
              - {{header: {{key: x-real-ip, value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}}}
              - {{header: {{key: x-forwarded-host, value: "%REQ(:AUTHORITY)%"}}}}
              - {{header: {{key: x-forwarded-port, value: "{port}"}}}}
              routes:
              - match: {{prefix: "/p0/"}}
                route: {{cluster: origin}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
{tls}"#
        )
    };
    let pair = folder.join("pair.pem");
    let pair = pair.display();
    let tls = format!(
        r#"      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates:
            - {{certificate_chain: {{filename: {pair}}}, private_key: {{filename: {pair}}}}}
"#
    );
    let config = format!(
        r"static_resources:
  listeners:
{}{}{}  clusters:
  - name: origin
    lb_policy: LEAST_REQUEST
    circuit_breakers: {{thresholds: [{{max_connections: 8192, max_pending_requests: 8192, max_requests: 8192}}]}}
    load_assignment:
      cluster_name: origin
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]
",
        listener("http", ports.http, ""),
        listener("h2c", ports.h2c, ""),
        listener("https", ports.https, &tls),
        origin.ip(),
        origin.port()
    );
    let file = folder.join("envoy.yaml");
    fs::write(&file, config)?;
    let arguments = [
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "warn",
        "-c",
    ];
    let file = file.display().to_string();
    let arguments = arguments.into_iter().chain([file.as_str()]);
    let log = folder.join("envoy.log");
    Ok(Proxy {
        name: "envoy",
        process: pinned(PROXY_CORE, program, arguments, &log)?,
        ports,
    })
}
