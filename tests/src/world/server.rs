//! A server on a host, which answers every question with the host's name and whom it saw ask: a line, a datagram, or a request of
//! HTTP/1.1.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    thread::{self, JoinHandle},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpStream, tcp::OwnedWriteHalf},
    runtime::Builder,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Family, Host, Protocol};

/// A question is a line, or a datagram.
const LONGEST: usize = 512;
const BACKLOG: i32 = 128;

/// A running server. Dropped, it ends, and so does every connection to it.
#[derive(Debug)]
pub struct Server {
    stop: Option<DropGuard>,
    thread: Option<JoinHandle<()>>,
}

enum Socket {
    Stream(TcpListener),
    Datagram(UdpSocket),
}

impl Host {
    /// Serves on a port of both families.
    pub fn serve(&self, protocol: Protocol, port: u16) -> io::Result<Server> {
        let bind = |family| self.namespace().run(|| bind(protocol, family, port));
        let sockets = [bind(Family::V4)?, bind(Family::V6)?];
        let stop = CancellationToken::new();
        let name = self.name().to_owned();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                for socket in sockets {
                    tokio::spawn(serve(socket, name.clone()));
                }
                stopped.cancelled().await;
            });
        });
        Ok(Server {
            stop: Some(stop.drop_guard()),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn bind(protocol: Protocol, family: Family, port: u16) -> io::Result<Socket> {
    let socket = protocol.socket(family)?;
    if family == Family::V6 {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    if protocol == Protocol::Udp {
        socket.bind(&SocketAddr::from((family.any(), port)).into())?;
        return Ok(Socket::Datagram(socket.into()));
    }
    // A server that starts again finds connections of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((family.any(), port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(Socket::Stream(socket.into()))
}

async fn serve(socket: Socket, name: String) -> io::Result<()> {
    match socket {
        Socket::Stream(listener) => {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                let (stream, peer) = listener.accept().await?;
                tokio::spawn(converse(stream, peer, name.clone()));
            }
        }
        Socket::Datagram(socket) => {
            let socket = tokio::net::UdpSocket::from_std(socket)?;
            let mut question = [0; LONGEST];
            loop {
                socket.readable().await?;
                // An error here is about an earlier answer, which nobody took.
                let Ok((length, peer)) = socket.try_recv_from(&mut question) else {
                    continue;
                };
                let question = String::from_utf8_lossy(&question[..length]);
                let answer = format!("{name} {peer} {}", question.trim());
                socket.send_to(answer.as_bytes(), peer).await.ok();
            }
        }
    }
}

async fn converse(stream: TcpStream, peer: SocketAddr, name: String) -> io::Result<()> {
    let (questions, mut answers): (_, OwnedWriteHalf) = stream.into_split();
    let mut lines = BufReader::with_capacity(LONGEST, questions).lines();
    while let Some(question) = lines.next_line().await? {
        let mut answer = format!("{name} {peer} {question}\n");
        if question.ends_with(" HTTP/1.1") {
            // The rest of its head; there is no body.
            while lines
                .next_line()
                .await?
                .is_some_and(|line| !line.is_empty())
            {}
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            answer.insert_str(0, &head);
        }
        answers.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
