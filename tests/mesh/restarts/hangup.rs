//! An ingress as a service of systemd: a hangup puts a new process in its place.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixDatagram},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use meshlite_tests::programs;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout},
};

use super::{
    Site,
    load::{self, Load},
};
use crate::{PROCESS, world::PATIENCE};

/// The processes of a service, as systemd knows them; killed when it is dropped.
struct Service {
    notified: UnixDatagram,
    first: Child,
    main: Vec<Pid>,
    log: PathBuf,
}

impl Service {
    /// Starts it, and waits until it says that it is ready.
    fn start(site: &Site, program: &Path) -> Self {
        let folder = site.folder.path();
        let (socket, log) = (folder.join("notify.sock"), folder.join("log"));
        let notified = UnixDatagram::bind(&socket).unwrap();
        notified.set_read_timeout(Some(PATIENCE)).unwrap();
        let first = Command::new(program)
            .args(["ingress", "--address=127.0.0.1", "--drain-timeout=2m"])
            .arg(format!("--control-plane={}", site.control_plane))
            .arg(format!("--admin-listen={}", site.admin))
            .arg(format!("--takeover={}", site.takeover().display()))
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut service = Self {
            notified,
            first,
            main: Vec::new(),
            log,
        };
        service.wait_for_main();
        service
    }

    /// Waits until another process says that it is the main one.
    fn wait_for_main(&mut self) {
        let mut text = [0; 256];
        let length = tokio::task::block_in_place(|| self.notified.recv(&mut text));
        let length = length.expect("a process says that it is ready");
        let text = str::from_utf8(&text[..length]).unwrap();
        let pid = text
            .strip_prefix("MAINPID=")
            .and_then(|rest| rest.strip_suffix("\nREADY=1\n"));
        let pid = Pid::from_raw(pid.expect(text).parse().unwrap());
        assert!(!self.main.contains(&pid), "{pid} said so before");
        self.main.push(pid);
    }

    /// As the unit's `ExecReload` does it.
    fn hang_up(&self) {
        kill(*self.main.last().unwrap(), Signal::SIGHUP).unwrap();
    }

    /// Waits until one of its processes has said this.
    async fn says(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(&self.log).unwrap();
            if log.contains(words) {
                return;
            }
            assert!(Instant::now() < deadline, "not said: {words}\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the process that was started first has ended, and ends the one that is there now.
    async fn stop(mut self, site: &Site) {
        let ended = timeout(PATIENCE, self.first.wait()).await;
        assert!(ended.expect("it drains").unwrap().success());
        self.main.remove(0);
        kill(*self.main.last().unwrap(), Signal::SIGTERM).unwrap();
        let gone = async {
            while load::get(&site.admin(), "/livez").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("it stops");
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
    let mut service = Service::start(&site, &program);
    let mut load = Load::start(&site.doors()).await;
    load.probe(site.admin());
    for _ in 0..2 {
        load.goes_on().await;
        service.hang_up();
        service.wait_for_main();
    }
    load.goes_on().await;
    load.finish().await;
    service.stop(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_serve_takes_over_from_nobody() {
    let Some(program) = programs::meshlite() else {
        return;
    };
    let _beside = PROCESS.read().await;
    let site = Site::new(load::origin().await).await;
    let installed = site.folder.path().join("meshlite");
    symlink(&program, &installed).unwrap();
    let mut service = Service::start(&site, &installed);
    let mut load = Load::start(&site.doors()).await;
    fs::remove_file(&installed).unwrap();
    service.hang_up();
    service.says("no successor can be started").await;
    symlink("/bin/false", &installed).unwrap();
    service.hang_up();
    service
        .says("the successor has ended; this process goes on")
        .await;
    load.goes_on().await;
    fs::remove_file(&installed).unwrap();
    symlink(&program, &installed).unwrap();
    service.hang_up();
    service.wait_for_main();
    load.goes_on().await;
    load.finish().await;
    service.stop(&site).await;
}
