//! Carries bytes both ways between two connections, and how each of them ends.

use std::{io, net::Shutdown};

use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream, task::consume_budget};

/// What is read at once. A connection that says nothing holds no buffer.
const BUFFER: usize = 32 * 1024;

/// One direction.
struct Way<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are sent.
    sent: usize,
}

/// Carries bytes until both sides have ended, one after the other or together.
///
/// A side that is reset ends both at once, also where nothing is read from it: what it said before still arrives, as far
/// as that needs no waiting. Then the caller is to reset the other side.
pub(super) async fn splice(a: &TcpStream, b: &TcpStream) -> io::Result<()> {
    let (mut there, mut back) = (Way::new(a, b), Way::new(b, a));
    let ended = tokio::select! {
        ended = async { tokio::try_join!(there.run(), back.run()) } => ended.map(drop),
        error = reset(a) => Err(error),
        error = reset(b) => Err(error),
    };
    if ended.is_err() {
        there.finish();
        back.finish();
    }
    ended
}

/// Waits until the connection is lost.
async fn reset(stream: &TcpStream) -> io::Error {
    if let Err(error) = stream.ready(Interest::ERROR).await {
        return error;
    }
    match stream.take_error() {
        Ok(Some(error)) | Err(error) => error,
        Ok(None) => io::ErrorKind::ConnectionReset.into(),
    }
}

// === impl Way ===

impl<'a> Way<'a> {
    fn new(from: &'a TcpStream, to: &'a TcpStream) -> Self {
        Self {
            from,
            to,
            buffer: Vec::new(),
            sent: 0,
        }
    }

    /// Carries bytes until there are no more, and says so.
    async fn run(&mut self) -> io::Result<()> {
        loop {
            self.from.readable().await?;
            match self.read() {
                Ok(0) => return self.shut_down(),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.buffer = Vec::new();
                    continue;
                }
                Err(error) => return Err(error),
            }
            while !self.is_sent() {
                self.to.writable().await?;
                match self.write() {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => {}
                }
            }
            // Sockets that are always ready must not keep others waiting.
            consume_budget().await;
        }
    }

    /// Carries what is there, without waiting.
    fn finish(&mut self) {
        loop {
            while !self.is_sent() {
                if self.write().is_err() {
                    return;
                }
            }
            if !matches!(self.read(), Ok(1..)) {
                return;
            }
        }
    }

    /// Fills the buffer, of which everything is sent.
    fn read(&mut self) -> io::Result<usize> {
        self.buffer.clear();
        self.sent = 0;
        self.buffer.reserve(BUFFER);
        self.from.try_read_buf(&mut self.buffer)
    }

    fn write(&mut self) -> io::Result<()> {
        self.sent += self.to.try_write(&self.buffer[self.sent..])?;
        Ok(())
    }

    fn is_sent(&self) -> bool {
        self.sent == self.buffer.len()
    }

    fn shut_down(&self) -> io::Result<()> {
        match SockRef::from(self.to).shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            ended => ended,
        }
    }
}

#[cfg(test)]
mod tests;
