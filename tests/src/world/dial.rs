//! Connections from a host, and who answers them.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use socket2::SockRef;
use tokio::time::Instant;

use super::{Family, Host, Protocol};

/// What takes longer than this gets no answer: enough for a packet that is sent twice.
const PATIENCE: Duration = Duration::from_secs(4);

/// Who answered a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The host whose server it was.
    pub who: String,
    /// Whom the server saw ask.
    pub peer: SocketAddr,
}

/// What a client sees that gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// It was told at once that nobody is there.
    #[error("connection refused")]
    Refused,
    /// It was told that there is no way.
    #[error("unreachable")]
    Unreachable,
    /// It heard nothing for as long as it waits: 4 seconds, where nothing else is said.
    #[error("no answer")]
    Silent,
    /// The other side closed or reset the connection.
    #[error("connection closed")]
    Closed,
    /// This host could not even try.
    #[error("{0}")]
    Local(io::Error),
}

/// An open connection, or a UDP socket that keeps its port.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    asked: u32,
}

#[derive(Debug)]
enum Socket {
    Stream(TcpStream),
    Datagram(UdpSocket),
}

// === impl DialError ===

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::Unreachable,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Silent,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Local(error),
        }
    }
}

// === impl Host ===

impl Host {
    /// Opens a connection.
    pub fn connect(&self, protocol: Protocol, to: SocketAddr) -> Result<Connection, DialError> {
        self.connect_from(0, protocol, to)
    }

    /// Opens a connection from a port of this host.
    pub fn connect_from(
        &self,
        port: u16,
        protocol: Protocol,
        to: SocketAddr,
    ) -> Result<Connection, DialError> {
        self.connect_within(PATIENCE, port, protocol, to)
    }

    /// Opens a connection whose client waits this long for whatever it waits for. Port 0 is any.
    pub fn connect_within(
        &self,
        patience: Duration,
        port: u16,
        protocol: Protocol,
        to: SocketAddr,
    ) -> Result<Connection, DialError> {
        let open = || -> io::Result<Socket> {
            let family = Family::of(to);
            let socket = protocol.socket(family)?;
            socket.set_reuse_address(true)?;
            socket.set_read_timeout(Some(patience))?;
            socket.set_write_timeout(Some(patience))?;
            socket.bind(&SocketAddr::from((family.any(), port)).into())?;
            socket.connect_timeout(&to.into(), patience)?;
            Ok(match protocol {
                Protocol::Tcp | Protocol::Sctp => Socket::Stream(socket.into()),
                Protocol::Udp => Socket::Datagram(socket.into()),
            })
        };
        let socket = self.namespace().run(open)?;
        Ok(Connection { socket, asked: 0 })
    }

    /// Opens a connection, and asks who is there.
    pub fn ask(&self, protocol: Protocol, to: SocketAddr) -> Result<Answer, DialError> {
        self.connect(protocol, to)?.ask()
    }

    /// Asks on this many connections, one after the other, and counts who answered.
    pub fn ask_times(
        &self,
        times: usize,
        protocol: Protocol,
        to: SocketAddr,
    ) -> Result<BTreeMap<String, usize>, DialError> {
        let mut answers = BTreeMap::new();
        for _ in 0..times {
            *answers.entry(self.ask(protocol, to)?.who).or_default() += 1;
        }
        Ok(answers)
    }
}

// === impl Connection ===

impl Connection {
    /// Asks who is there.
    pub fn ask(&mut self) -> Result<Answer, DialError> {
        self.asked += 1;
        let question = self.asked.to_string();
        match &mut self.socket {
            Socket::Stream(stream) => {
                stream.write_all(format!("{question}\n").as_bytes())?;
                let line = read_line(stream)?;
                Ok(understood(&line, &question)?)
            }
            Socket::Datagram(socket) => {
                socket.send(question.as_bytes())?;
                let deadline = Instant::now() + PATIENCE;
                let mut answer = [0; 512];
                while Instant::now() < deadline {
                    let length = socket.recv(&mut answer)?;
                    let answer = String::from_utf8_lossy(&answer[..length]);
                    // One to an earlier question can come late.
                    if let Ok(answer) = understood(&answer, &question) {
                        return Ok(answer);
                    }
                }
                Err(DialError::Silent)
            }
        }
    }

    /// Waits until the other side ends it.
    pub fn hear_end(&mut self) -> Result<(), DialError> {
        let Socket::Stream(stream) = &mut self.socket else {
            return Err(DialError::Silent);
        };
        let heard = stream.read(&mut [0]).map_err(DialError::from);
        match heard {
            Ok(0) | Err(DialError::Closed) => Ok(()),
            Ok(_) => Err(DialError::Local(io::Error::other("it says something"))),
            Err(error) => Err(error),
        }
    }

    /// Ends it with a reset, so that its port is free at once and nobody waits for more of it.
    pub fn abort(self) -> io::Result<()> {
        match self.socket {
            Socket::Stream(stream) => SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
            Socket::Datagram(_) => Ok(()),
        }
    }

    /// The address that it has on its own host.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Stream(stream) => stream.local_addr(),
            Socket::Datagram(socket) => socket.local_addr(),
        }
    }
}

/// Byte by byte: what follows the line stays in the socket.
fn read_line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        if byte == [b'\n'] {
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        line.extend(byte);
    }
}

/// The answer to this question.
fn understood(answer: &str, question: &str) -> io::Result<Answer> {
    let parts: Vec<_> = answer.split(' ').collect();
    if let [who, peer, asked] = parts[..]
        && asked == question
        && let Ok(peer) = peer.parse()
    {
        let who = who.to_owned();
        return Ok(Answer { who, peer });
    }
    let what = format!("not an answer to {question}: {answer:?}");
    Err(io::Error::other(what))
}
