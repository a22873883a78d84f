//! Requests that were damaged at random: whatever we forward of them, each server sees what the recorder alone sees.

use std::time::Duration;

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{Behind, is_among};
use crate::tests::attacks::Seen;

/// How long a connection says nothing before we take it that it waits for us.
const QUIET: Duration = Duration::from_secs(1);
/// Cases at most, however many are asked for: in each of them somebody may be that silent.
const MOST: u32 = 500;

const SEEDS: [&[u8]; 7] = [
    b"GET //a//b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET http://h/d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 36\r\n\r\nGET /inner HTTP/1.1\r\nHost: inner\r\n\r\n\
      GET /f HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"POST /g HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
      GET /i HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
];
/// What parsers stumble over.
const PIECES: [&[u8]; 24] = [
    b"\0", b"\t", b"\n", b"\r", b"\r\n", b" ", b"\r\n ", b"\"", b",", b":", b";", b"/", b"\\",
    b"_", b"0", b"+1", b"0x", b"%", b"\x0b", b"\x7f", b"\x85", b"\xff", b";a=b", b"\n\n",
];
const HEADERS: [&[u8]; 14] = [
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 05, 5\r\n",
    b"content-length:\t6\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:\tchunked \r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Host: other\r\n",
    b"Connection: content-length, transfer-encoding, host\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    b"TE: trailers, chunked\r\n",
];

/// One thing that is done to a request, at a byte or a line.
#[derive(Clone, Debug)]
enum Mutation {
    Delete(Index),
    Insert(Index, &'static [u8]),
    Replace(Index, &'static [u8]),
    /// The case of a line.
    Shout(Index),
    DuplicateLine(Index),
    DeleteLine(Index),
    /// The line end becomes a bare line feed.
    BareLineFeed(Index),
    InsertHeader(&'static [u8]),
    /// Another request follows.
    Append(&'static [u8]),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let piece = || select(&PIECES[..]);
    prop_oneof![
        at().prop_map(Mutation::Delete),
        (at(), piece()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (at(), piece()).prop_map(|(at, piece)| Mutation::Replace(at, piece)),
        at().prop_map(Mutation::Shout),
        at().prop_map(Mutation::DuplicateLine),
        at().prop_map(Mutation::DeleteLine),
        at().prop_map(Mutation::BareLineFeed),
        select(&HEADERS[..]).prop_map(Mutation::InsertHeader),
        select(&SEEDS[..]).prop_map(Mutation::Append),
    ]
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Delete(at) => drop(bytes.remove(at.index(bytes.len()))),
            Self::Insert(at, piece) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, piece.iter().copied());
            }
            Self::Replace(at, piece) => {
                let at = at.index(bytes.len());
                bytes.splice(at..=at, piece.iter().copied());
            }
            Self::InsertHeader(header) => {
                let first = bytes.iter().position(|byte| *byte == b'\n');
                let at = first.map_or(0, |end| end + 1);
                bytes.splice(at..at, header.iter().copied());
            }
            Self::Append(request) => bytes.extend_from_slice(request),
            Self::Shout(at)
            | Self::DuplicateLine(at)
            | Self::DeleteLine(at)
            | Self::BareLineFeed(at) => {
                let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                let at = at.index(lines.len());
                let line = lines[at];
                let shouted = line.to_ascii_uppercase();
                let bare = [line.trim_ascii_end(), b"\n"].concat();
                match self {
                    Self::Shout(_) => lines[at] = &shouted,
                    Self::DuplicateLine(_) => lines.insert(at, line),
                    Self::BareLineFeed(_) => lines[at] = &bare,
                    _ => drop(lines.remove(at)),
                }
                *bytes = lines.concat();
            }
        }
        if bytes.is_empty() {
            bytes.push(b'\n');
        }
    }
}

/// Sends bytes, waits until the connection ends or waits for more, and gives what the recorder saw.
async fn seen(behind: &Behind, bytes: &[u8]) -> Vec<Seen> {
    let mut stream = TcpStream::connect(behind.mesh.http()).await.unwrap();
    // The ingress may have refused it before its end.
    drop(stream.write_all(bytes).await);
    let mut buffer = [0; 4096];
    while let Ok(Ok(1..)) = timeout(QUIET, stream.read(&mut buffer)).await {}
    drop(stream);
    let seen = behind.seen().await;
    seen.unwrap_or_else(|| panic!("{} did not see another request as it was", behind.name))
}

/// What a server saw that the recorder alone did not.
async fn differs(alone: &Behind, servers: &[Behind], bytes: &[u8]) -> Option<String> {
    let expected = seen(alone, bytes).await;
    let expected: Vec<_> = expected.iter().map(Seen::essence).collect();
    let all = servers.iter().map(|server| seen(server, bytes));
    let all = futures_util::future::join_all(all).await;
    servers.iter().zip(all).find_map(|(server, seen)| {
        let seen: Vec<_> = seen.iter().map(Seen::essence).collect();
        let name = server.name;
        (!is_among(&seen, &expected)).then(|| format!("{name}: {seen:?}, and not {expected:?}"))
    })
}

#[test]
fn no_server_sees_more_in_a_damaged_request_than_there_is() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    let (alone, servers) =
        runtime.block_on(async { (Behind::nothing().await, Behind::servers().await) });
    // Each case costs connections, and some wait for a while.
    let mut config = Config::default();
    config.cases = (config.cases / 4).min(MOST);
    config.failure_persistence = None;
    let cases = (select(&SEEDS[..]), vec(mutation(), 1..4));
    let outcome = TestRunner::new(config).run(&cases, |(seed, mutations)| {
        let mut bytes = seed.to_vec();
        for mutation in &mutations {
            mutation.apply(&mut bytes);
        }
        runtime.block_on(async {
            // On a busy machine one of them may have been cut off sooner than the others.
            if differs(&alone, &servers, &bytes).await.is_some()
                && let Some(what) = differs(&alone, &servers, &bytes).await
            {
                let bytes = bytes.escape_ascii();
                return Err(TestCaseError::fail(format!("\"{bytes}\"\n  {what}")));
            }
            Ok(())
        })
    });
    outcome.unwrap();
}
