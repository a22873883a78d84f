//! The command on a terminal: colours, what is drawn anew, progress, and Ctrl-C.
#![cfg(test)]

mod cluster;
mod screen;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use self::{cluster::Cluster, screen::Screen};

const PATIENCE: Duration = Duration::from_mins(1);
/// What puts a terminal's cursor at its top and clears it.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";
/// What begins a colour.
const COLOUR: &str = "\u{1b}[1m";
/// What Ctrl-C types.
const INTERRUPT: u8 = 3;
/// 128 and the number of SIGINT, as shells say it.
const INTERRUPTED: i32 = 130;

fn manifest(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\n\
         spec:\n  clusterIP: 10.96.1.2\n  ports: [{{port: {port}}}]\n"
    )
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.yaml");
    fs::write(&file, manifest(6666)).unwrap();
    let show = format!("get snapshot --manifests {}", file.display());
    for (tail, environment, is_colourful) in [
        ("", ("NO_COLOR", ""), true),
        ("", ("NO_COLOR", "1"), false),
        ("", ("TERM", "dumb"), false),
        ("-o yaml", ("NO_COLOR", ""), false),
        ("| cat", ("NO_COLOR", ""), false),
    ] {
        let Some(mut screen) = Screen::run(&format!("{show} {tail}"), &[environment]) else {
            return;
        };
        let (shown, status) = screen.end();
        assert_eq!(status, Some(0), "{shown}");
        assert!(shown.contains("6666"), "{shown}");
        let found = shown.contains(COLOUR);
        assert_eq!(found, is_colourful, "{tail} {environment:?}: {shown:?}");
    }
}

#[test]
fn what_is_watched_is_drawn_anew_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.yaml");
    fs::write(&file, manifest(6666)).unwrap();
    let watch = format!("get snapshot --watch --manifests {}", file.display());
    let Some(mut screen) = Screen::run(&watch, &[]) else {
        return;
    };
    screen.until("6666/TCP");
    fs::write(&file, manifest(7777)).unwrap();
    screen.until("7777/TCP");
    screen.press(INTERRUPT);
    let (shown, status) = screen.end();
    assert_eq!(shown.matches(CLEAR).count(), 2, "{shown:?}");
    assert!(shown.starts_with(CLEAR), "{shown:?}");
    assert_eq!(status, Some(INTERRUPTED), "{shown:?}");
}

#[test]
fn status_follows_a_control_plane_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("web.yaml"), manifest(6666)).unwrap();
    let control_plane = ControlPlane::start(folder.path());
    let watch = format!("status --watch --control-plane {}", control_plane.url);
    let Some(mut screen) = Screen::run(&watch, &[]) else {
        return;
    };
    screen.until("CONTROL-PLANE");
    screen.until(&control_plane.url);
    drop(control_plane);
    screen.until("asking again");
    screen.press(INTERRUPT);
    let (shown, status) = screen.end();
    assert!(shown.contains(CLEAR), "{shown:?}");
    assert_eq!(status, Some(INTERRUPTED), "{shown:?}");
}

#[test]
fn long_work_shows_how_far_it_is_on_a_terminal_and_leaves_nothing_of_it() {
    let cluster = Cluster::of_two_ingresses();
    let Some(mut screen) = Screen::run(&cluster.migrate("-o json"), &[]) else {
        return;
    };
    screen.until("reading Ingresses [");
    screen.until("] 1/2");
    cluster.answer_the_rest();
    let (shown, status) = screen.end();
    assert_eq!(status, Some(0), "{shown}");
    let (_, after) = shown.rsplit_once("reading Ingresses").unwrap();
    let (_, report) = after.split_once("\u{1b}[2K").unwrap();
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    for name in ["shop/first", "shop/second"] {
        assert!(report.to_string().contains(name), "{report}");
    }
}

#[test]
fn where_standard_error_is_no_terminal_nothing_is_said_of_progress() {
    let cluster = Cluster::of_two_ingresses();
    let Some(mut screen) = Screen::run(&cluster.migrate("2>\"$ERRORS\""), &[]) else {
        return;
    };
    cluster.wait_for_the_second_request();
    // Long enough for a bar to be shown, where one were.
    thread::park_timeout(Duration::from_secs(1));
    cluster.answer_the_rest();
    let (shown, status) = screen.end();
    assert_eq!(status, Some(0), "{shown}");
    assert!(!shown.contains("reading"), "{shown}");
    assert_eq!(screen.errors(), "");
}

/// A control plane of a folder, as a process of its own.
struct ControlPlane {
    process: Child,
    url: String,
}

impl ControlPlane {
    fn start(manifests: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_meshlite"))
            .args(["control-plane", "--listen=127.0.0.1:0", "--admin-listen="])
            .arg("--log-format=json")
            .arg(format!("--manifests={}", manifests.display()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let (found, address) = mpsc::channel();
        thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = event["grpc"].as_str() {
                    found.send(format!("http://{address}")).ok();
                }
            }
        });
        // Made before the wait, so that the process ends with the test also where the wait fails.
        let mut control_plane = Self {
            process,
            url: String::new(),
        };
        control_plane.url = address
            .recv_timeout(PATIENCE)
            .expect("it says where it listens");
        control_plane
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
