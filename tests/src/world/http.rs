//! One HTTP question to what listens on a host.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::Host;

const LIMIT: Duration = Duration::from_secs(5);

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
}
