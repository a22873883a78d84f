//! nginx, haproxy and Apache as endpoints: each sees a request that we forward as the one that it is, and nothing more.
//!
//! ```text
//! client ─> ingress ─> nginx | haproxy | apache ─> recorder
//! ```

mod mutations;
mod servers;

use std::fmt::Write as _;

use self::servers::{SERVERS, Server};
use super::{
    attacks::{Recorder, Row, Seen, Verdict, converse},
    mesh::Mesh,
};

/// Asks for nothing that anybody could read in two ways.
const CLEAN: &[u8] = b"GET /clean HTTP/1.1\r\nHost: h\r\n\r\n";

/// An ingress with a server behind it that sends on to a recorder.
#[derive(Debug)]
struct Behind {
    name: &'static str,
    mesh: Mesh,
    recorder: Recorder,
    /// Not where the ingress's own endpoint is the recorder.
    _server: Option<Server>,
}

impl Behind {
    async fn nothing() -> Self {
        let recorder = Recorder::start().await;
        let mut mesh = Mesh::start().await;
        mesh.serve(&[recorder.address()]).await;
        Self {
            name: "nothing",
            mesh,
            recorder,
            _server: None,
        }
    }

    /// One for each server that is installed.
    async fn servers() -> Vec<Self> {
        let mut all = Vec::new();
        for kind in &SERVERS {
            let recorder = Recorder::start().await;
            let Some(server) = Server::start(kind, recorder.address()).await else {
                continue;
            };
            let mut mesh = Mesh::start().await;
            mesh.serve(&[server.address]).await;
            all.push(Self {
                name: kind.name,
                mesh,
                recorder,
                _server: Some(server),
            });
        }
        all
    }

    /// Whether nothing was left in a connection that another client's request could meet.
    async fn is_clean(&self) -> bool {
        self.seen().await.is_some_and(|seen| seen.is_empty())
    }

    /// What was seen up to another client's request; none where that did not come through as it is. Something that came
    /// late is seen too: it is no part of that request.
    async fn seen(&self) -> Option<Vec<Seen>> {
        let status = converse(&self.mesh, CLEAN, 1).await;
        let mut seen = self.recorder.take();
        let is_it = |seen: &Seen| seen.essence() == ["GET /clean HTTP/1.1", "h", ""];
        let at = seen.iter().position(is_it)?;
        seen.remove(at);
        (status == 200).then_some(seen)
    }
}

/// What of a row's request no server may see otherwise: its line, host and body.
fn essence(request: &str) -> [&str; 3] {
    let (line, rest) = request.split_once(" | ").expect("a line");
    let (host, rest) = rest.split_once(" | ").expect("a host");
    let (_, body) = rest.rsplit_once(" | ").expect("a body");
    [line, host, body]
}

/// Whether all that was seen was sent, in this order.
fn is_among<'a>(seen: &[[&'a str; 3]], sent: &[[&'a str; 3]]) -> bool {
    let mut sent = sent.iter();
    seen.iter().all(|seen| sent.any(|sent| is_same(seen, sent)))
}

/// Whether two requests are the same to who makes one slash of several, as Apache does.
fn is_same([seen, seen_rest @ ..]: &[&str; 3], [sent, sent_rest @ ..]: &[&str; 3]) -> bool {
    let one_slash = |line: &str| {
        let mut bytes = line.as_bytes().to_vec();
        bytes.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
        bytes
    };
    one_slash(seen) == one_slash(sent) && seen_rest == sent_rest
}

/// Sends each row's bytes to each server behind us. A server may refuse what we forward, but not see anything else in it.
pub(super) async fn hold(rows: &[Row]) {
    for behind in Behind::servers().await {
        let mut wrong = String::new();
        for (bytes, verdict) in rows {
            let (last, sent) = match verdict {
                Verdict::Refused(_) => (1, Vec::new()),
                Verdict::Forwarded(requests) => (
                    requests.len(),
                    requests.iter().map(|r| essence(r)).collect(),
                ),
            };
            let status = converse(&behind.mesh, bytes, last).await;
            let seen = behind.recorder.take();
            let seen: Vec<_> = seen.iter().map(Seen::essence).collect();
            let holds = match verdict {
                Verdict::Refused(refused) => status == *refused && seen.is_empty(),
                Verdict::Forwarded(_) if status == 200 => seen == sent,
                Verdict::Forwarded(_) => status >= 400 && is_among(&seen, &sent),
            };
            if !holds {
                let bytes = bytes.escape_ascii();
                let _infallible =
                    writeln!(wrong, "\"{bytes}\"\n  {verdict:?}\n  {status} {seen:?}");
            }
        }
        assert!(wrong.is_empty(), "{}:\n{wrong}", behind.name);
        assert!(behind.is_clean().await, "{}", behind.name);
    }
}
