//! Web servers on loopback that send everything on to one address.

use std::{fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::tests::programs;

/// How a server is told what to do.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    program: &'static str,
    /// Arguments; `@` stands for its folder, where the configuration is in `conf`.
    arguments: &'static [&'static str],
    /// The configuration for a folder, a port and the address to send on to.
    configuration: fn(&str, u16, SocketAddr) -> String,
}

pub(super) const SERVERS: [Kind; 3] = [
    Kind {
        name: "nginx",
        program: "nginx",
        arguments: &["-p", "@", "-c", "@/conf", "-e", "@/error.log"],
        configuration: nginx,
    },
    Kind {
        name: "haproxy",
        program: "haproxy",
        arguments: &["-q", "-db", "-f", "@/conf"],
        configuration: haproxy,
    },
    Kind {
        name: "apache",
        program: "apache2",
        arguments: &["-X", "-d", "/usr/lib/apache2", "-f", "@/conf"],
        configuration: apache,
    },
];

fn nginx(folder: &str, port: u16, to: SocketAddr) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .concat();
    format!(
        "daemon off; master_process off; pid {folder}/pid; events {{}}\n\
         http {{ access_log off; merge_slashes off; client_max_body_size 0; {temporary}\
         server {{ listen 127.0.0.1:{port};\n\
         location / {{ proxy_pass http://{to}; proxy_http_version 1.1; proxy_set_header Host $http_host;\n\
         proxy_next_upstream off; }} }} }}\n"
    )
}

fn haproxy(_folder: &str, port: u16, to: SocketAddr) -> String {
    format!(
        "defaults\n  mode http\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n\
         listen all\n  bind 127.0.0.1:{port}\n  server recorder {to}\n"
    )
}

fn apache(folder: &str, port: u16, to: SocketAddr) -> String {
    let modules: String = ["mpm_event", "authz_core", "proxy", "proxy_http"]
        .map(|name| format!("LoadModule {name}_module modules/mod_{name}.so\n"))
        .concat();
    format!(
        "{modules}ServerName origin\nListen 127.0.0.1:{port}\nPidFile {folder}/pid\nDefaultRuntimeDir {folder}\n\
         ErrorLog {folder}/error.log\nUser nobody\nGroup nogroup\nKeepAliveTimeout 60\nProxyPreserveHost On\n\
         AllowEncodedSlashes NoDecode\nProxyPass / http://{to}/ nocanon disablereuse=on\n"
    )
}

/// A running server, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Server {
    /// None where its program is not installed.
    pub(super) async fn start(kind: &Kind, to: SocketAddr) -> Option<Self> {
        let program = programs::find(kind.program)?;
        // Somebody else may take the port before the server does.
        for _ in 0..5 {
            if let Some(server) = Self::try_start(kind, &program, to).await {
                return Some(server);
            }
        }
        panic!("{} does not start", kind.name);
    }

    async fn try_start(kind: &Kind, program: &Path, to: SocketAddr) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let configuration = (kind.configuration)(place, address.port(), to);
        fs::write(folder.path().join("conf"), configuration).unwrap();
        let arguments = kind.arguments.iter().map(|text| text.replace('@', place));
        let mut process = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(address).await.is_err() {
            if process.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "{} does not listen", kind.name);
            sleep(Duration::from_millis(10)).await;
        }
        Some(Self {
            address,
            _process: process,
            _folder: folder,
        })
    }
}
