//! The ingress is restarted in place, over and over, under load: no request fails and no connection ends.

mod load;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use meshlite_compile::Settings;
use meshlite_control_plane::{Config, ControlPlane, Security, SourceConfig};
use meshlite_ingress::Ingress;
use meshlite_manifests::admit::AdmitSettings;
use meshlite_tests::programs;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::load::Load;
use crate::{PROCESS, world::PATIENCE};

const RESTARTS: usize = 5;

/// What ingresses follow and serve.
struct Site {
    folder: tempfile::TempDir,
    control_plane: String,
    http: SocketAddr,
    admin: SocketAddr,
    _ends: DropGuard,
}

impl Site {
    async fn new(origin: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifests = folder.path().join("manifests");
        fs::create_dir(&manifests).unwrap();
        fs::write(manifests.join("web.yaml"), manifest(origin)).unwrap();
        let [http, https, admin] = [(); 3].map(|()| free_address());
        let control_plane = ControlPlane::bind(Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_listen: None,
            source: SourceConfig::Files {
                manifests,
                state_dir: None,
                admit: AdmitSettings::default(),
                pods: None,
            },
            settings: Settings {
                watch_ingress_without_class: true,
                http_proxy_port: http.port(),
                https_proxy_port: https.port(),
                ..Settings::default()
            },
            security: Security::Insecure,
            replica: "replica-1".into(),
        });
        let control_plane = control_plane.await.unwrap();
        let url = format!("http://{}", control_plane.grpc_addr());
        let stop = CancellationToken::new();
        tokio::spawn(Box::pin(control_plane.run(stop.clone())));
        Self {
            folder,
            control_plane: url,
            http,
            admin,
            _ends: stop.drop_guard(),
        }
    }

    fn takeover(&self) -> PathBuf {
        self.folder.path().join("takeover.sock")
    }

    /// Starts an ingress with this many workers, and waits until it serves.
    async fn ingress(&self, workers: usize) -> JoinHandle<()> {
        let ingress = Ingress::bind(meshlite_ingress::Config {
            control_plane: vec![self.control_plane.clone()],
            address: self.http.ip(),
            admin_listen: Some(self.admin),
            workers: NonZeroUsize::new(workers),
            takeover: Some(self.takeover()),
            drain_timeout: PATIENCE * 4,
            ..meshlite_ingress::Config::default()
        });
        let ingress = ingress.await.unwrap();
        let serving = ingress.serving();
        let run = Box::pin(ingress.run(CancellationToken::new()));
        let run = tokio::spawn(async move { run.await.unwrap() });
        timeout(PATIENCE, serving.cancelled())
            .await
            .expect("it serves");
        run
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn manifest(origin: SocketAddr) -> String {
    let (ip, port) = (origin.ip(), origin.port());
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec:\n  ports: [{{port: 80, name: http}}]\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: web-a, labels: {{kubernetes.io/service-name: web}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {port}}}]\nendpoints: [{{addresses: [{ip}]}}]\n---\n\
         apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web}}\n\
         spec: {{defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_that_is_restarted_in_place_fails_no_request_whatever_its_workers() {
    let _beside = PROCESS.read().await;
    let site = Site::new(load::origin().await).await;
    let mut ingresses = vec![site.ingress(2).await];
    let mut load = Load::start(site.http).await;
    for restart in 0..RESTARTS {
        load.goes_on().await;
        ingresses.push(site.ingress([1, 3, 2, 4, 2][restart]).await);
        // Connections to the admin server are no clients': one that the old process takes in its last moment is closed.
        while load::get(site.admin, "/readyz").await.ok().as_deref() != Some("ok") {
            load.goes_on().await;
        }
    }
    load.goes_on().await;
    load.finish().await;
    // The last one is the only one that does not end.
    ingresses.pop().expect("one was started").abort();
    for ingress in ingresses {
        timeout(PATIENCE, ingress)
            .await
            .expect("it drains")
            .unwrap();
    }
}

/// The processes of a service, as systemd knows them; killed when it is dropped.
struct Service {
    notified: UnixDatagram,
    main: Vec<Pid>,
}

impl Service {
    /// Waits until another process says that it is the main one.
    fn main_process(&mut self) -> Pid {
        let mut text = [0; 256];
        let length = self
            .notified
            .recv(&mut text)
            .expect("a process says that it is ready");
        let text = str::from_utf8(&text[..length]).unwrap();
        let pid = text
            .strip_prefix("MAINPID=")
            .and_then(|rest| rest.strip_suffix("\nREADY=1\n"));
        let pid = Pid::from_raw(pid.expect(text).parse().unwrap());
        self.main.push(pid);
        pid
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for pid in &self.main {
            // Those that have ended are gone already.
            kill(*pid, Signal::SIGKILL).unwrap_or_default();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hangup_puts_a_new_process_in_place_of_the_ingress() {
    let Some(program) = programs::meshlite() else {
        return;
    };
    let _beside = PROCESS.read().await;
    let site = Site::new(load::origin().await).await;
    let socket = site.folder.path().join("notify.sock");
    let notified = UnixDatagram::bind(&socket).unwrap();
    notified.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut service = Service {
        notified,
        main: Vec::new(),
    };
    let mut first = tokio::process::Command::new(program)
        .args(["ingress", "--address=127.0.0.1", "--drain-timeout=2m"])
        .arg(format!("--control-plane={}", site.control_plane))
        .arg(format!("--admin-listen={}", site.admin))
        .arg(format!("--takeover={}", site.takeover().display()))
        .env("NOTIFY_SOCKET", &socket)
        .stdin(Stdio::null())
        .stderr(fs::File::create(site.folder.path().join("log")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut main = service.main_process();
    let mut load = Load::start(site.http).await;
    for _ in 0..2 {
        load.goes_on().await;
        kill(main, Signal::SIGHUP).unwrap();
        main = tokio::task::block_in_place(|| service.main_process());
    }
    load.goes_on().await;
    load.finish().await;
    let ended = timeout(PATIENCE, first.wait()).await;
    assert!(ended.expect("it drains").unwrap().success());
    service.main.remove(0);
    kill(main, Signal::SIGTERM).unwrap();
    let gone = async {
        while load::get(site.admin, "/livez").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("it stops");
}
