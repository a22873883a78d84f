//! HTTP questions to what listens on a host.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::Host;

const LIMIT: Duration = Duration::from_secs(5);
/// Of connections that are not to fail: a machine that has no time for a packet sends it again seconds later.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that stays for more than one question.
#[derive(Debug)]
pub struct Kept(BufReader<TcpStream>);

/// An answer on a connection that may stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// `200`.
    pub status: String,
    /// What follows the head.
    pub body: String,
    /// It is the last one on its connection.
    pub closes: bool,
}

impl Host {
    /// The status and the body of the answer to `GET path`, asked from this host.
    pub fn get(&self, to: SocketAddr, path: &str) -> io::Result<(String, String)> {
        self.get_of("node", to, path)
    }

    /// As [`Self::get`], of a virtual host.
    pub fn get_of(
        &self,
        virtual_host: &str,
        to: SocketAddr,
        path: &str,
    ) -> io::Result<(String, String)> {
        let connect = || TcpStream::connect_timeout(&to, LIMIT);
        let mut stream = self.namespace().run(connect)?;
        stream.set_read_timeout(Some(LIMIT))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {virtual_host}\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).unwrap_or_default();
        Ok((status.to_owned(), body.to_owned()))
    }

    /// Connects, for questions over HTTP.
    pub fn keep(&self, to: SocketAddr) -> io::Result<Kept> {
        let connect = || TcpStream::connect_timeout(&to, PATIENCE);
        let stream = self.namespace().run(connect)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Kept(BufReader::new(stream)))
    }
}

impl Kept {
    /// The answer to `GET path`, which says how long it is.
    pub fn get_of(&mut self, virtual_host: &str, path: &str) -> io::Result<KeptAnswer> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {virtual_host}\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, head));
            }
        }
        let head = head.to_lowercase();
        let field = |name: &str| {
            let mut fields = head.lines().filter_map(|line| line.split_once(": "));
            fields.find_map(|(field, value)| (field == name).then_some(value))
        };
        let length = field("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
        self.0.read_exact(&mut body)?;
        Ok(KeptAnswer {
            status: head.split(' ').nth(1).unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
            closes: field("connection") == Some("close"),
        })
    }
}
