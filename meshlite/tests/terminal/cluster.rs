//! An API server with two Ingresses, which gives one at a time and the second one when it is told to.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use super::PATIENCE;

pub(super) struct Cluster {
    folder: tempfile::TempDir,
    asked: Receiver<()>,
    answer: Sender<()>,
}

impl Cluster {
    pub(super) fn of_two_ingresses() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
             clusters: [{{name: it, cluster: {{server: \"{server}\"}}}}]\n\
             contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n\
             users: [{{name: it, user: {{}}}}]\n"
        );
        fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
        let (asks, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        thread::spawn(move || serve(&listener, &asks, &answers));
        Self {
            folder,
            asked,
            answer,
        }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The words of the command that reads it.
    pub(super) fn migrate(&self, options: &str) -> String {
        let kubeconfig = self.kubeconfig();
        format!(
            "migrate --cluster --kubeconfig {} {options}",
            kubeconfig.display()
        )
    }

    pub(super) fn wait_for_the_second_request(&self) {
        self.asked.recv_timeout(PATIENCE).unwrap();
    }

    pub(super) fn answer_the_rest(&self) {
        self.answer.send(()).unwrap();
    }
}

/// Answers two requests, on one connection or on two.
fn serve(listener: &TcpListener, asks: &Sender<()>, answers: &Receiver<()>) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while let Some(Ok(request)) = lines.next() {
            // The rest of its head.
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            if request.contains("continue=") {
                asks.send(()).ok();
                if answers.recv_timeout(PATIENCE).is_err() {
                    return;
                }
                write_page(&mut stream, "second", "{}");
            } else {
                let more = r#"{"continue": "more", "remainingItemCount": 1}"#;
                write_page(&mut stream, "first", more);
            }
        }
    }
}

fn write_page(stream: &mut TcpStream, name: &str, metadata: &str) {
    let body = format!(
        r#"{{"apiVersion": "networking.k8s.io/v1", "kind": "IngressList", "metadata": {metadata}, "items": [
            {{"metadata": {{"name": "{name}", "namespace": "shop", "annotations": {{"nginx.ingress.kubernetes.io/limit-rps": "5"}}}},
             "spec": {{"defaultBackend": {{"service": {{"name": "web", "port": {{"number": 80}}}}}}}}}}]}}"#
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
}
