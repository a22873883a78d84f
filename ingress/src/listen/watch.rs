//! A client's socket, which the runtime watches only from when somebody waits for it.
//!
//! Most clients of short connections have sent their request by the time that they are accepted, and leave after the answer. They
//! are served without ever being watched: a socket that is watched costs two system calls more, and a turn of the event loop.

use std::{
    io::{self, IoSlice, Read as _, Write as _},
    net::{Shutdown, TcpStream as Unwatched},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::net::{SendFlags, send};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// Bytes that are read before the socket is watched: a head, nearly always.
const FIRST: usize = 2048;

/// A client's socket. It does not block.
#[derive(Debug)]
pub(super) enum Socket {
    /// What was sent with the connection may be there.
    New(Unwatched),
    /// It was read from once. From then on it takes its turns with others.
    Begun(Unwatched),
    Watched(TcpStream),
    /// It could not be watched, and is closed.
    Lost,
}

impl Socket {
    pub(super) fn is_watched(&self) -> bool {
        !matches!(self, Self::New(_) | Self::Begun(_))
    }

    /// Has the runtime watch it from now on.
    pub(super) fn watched(&mut self) -> io::Result<&mut TcpStream> {
        if !self.is_watched()
            && let Self::New(tcp) | Self::Begun(tcp) = std::mem::replace(self, Self::Lost)
        {
            *self = Self::Watched(TcpStream::from_std(tcp)?);
        }
        match self {
            Self::Watched(tcp) => Ok(tcp),
            Self::New(_) | Self::Begun(_) | Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether something has come that nobody was told of.
    pub(super) fn has_more(&self) -> bool {
        let (Self::New(tcp) | Self::Begun(tcp)) = self else {
            return false;
        };
        matches!(tcp.peek(&mut [0]), Ok(1..))
    }

    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::New(tcp) | Self::Begun(tcp) => Some(tcp.as_fd()),
            Self::Watched(tcp) => Some(tcp.as_fd()),
            Self::Lost => None,
        }
    }

    /// Reads what has come with the connection; none where that is still to be waited for.
    fn read_first(&mut self, buffer: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        let Self::New(mut tcp) = std::mem::replace(self, Self::Lost) else {
            return None;
        };
        let length = buffer.remaining().min(FIRST);
        let read = tcp.read(buffer.initialize_unfilled_to(length));
        *self = Self::Begun(tcp);
        Some(unless_to_wait(read)?.map(|read| buffer.advance(read)))
    }

    /// Writes what leaves only with the end of the connection: no packet is for that alone.
    pub(super) fn poll_write_held(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(written) = self.write_unwatched(|tcp| send_held(tcp, bytes)) {
            return Poll::Ready(written);
        }
        let tcp = self.watched()?;
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            let written = tcp.try_io(Interest::WRITABLE, || send_held(&*tcp, bytes));
            if let Some(written) = unless_to_wait(written) {
                return Poll::Ready(written);
            }
        }
    }

    /// Writes to a socket that is not watched; none where that is to be waited for.
    fn write_unwatched(
        &mut self,
        write: impl FnOnce(&mut Unwatched) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let (Self::New(tcp) | Self::Begun(tcp)) = self else {
            return None;
        };
        unless_to_wait(write(tcp))
    }
}

fn send_held(tcp: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(send(tcp, bytes, SendFlags::NOSIGNAL | SendFlags::MORE)?)
}

fn unless_to_wait<T>(done: io::Result<T>) -> Option<io::Result<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        done => Some(done),
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Self::New(_) = this
            && let Some(read) = this.read_first(buffer)
        {
            return Poll::Ready(read);
        }
        Pin::new(this.watched()?).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.write_unwatched(|tcp| tcp.write(bytes)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(this.watched()?).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.write_unwatched(|tcp| tcp.write_vectored(slices)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(this.watched()?).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is written is with the system.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::New(tcp) | Self::Begun(tcp) => Poll::Ready(tcp.shutdown(Shutdown::Write)),
            Self::Watched(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, net::TcpListener};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A client, and its socket on our side.
    fn connect() -> (Unwatched, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Unwatched::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        (client, Socket::New(ours))
    }

    #[tokio::test]
    async fn what_is_held_leaves_with_the_end_of_its_connection() {
        for is_watched in [false, true] {
            let (mut client, mut socket) = connect();
            if is_watched {
                socket.watched().unwrap();
            }
            let held = poll_fn(|cx| socket.poll_write_held(cx, b"last")).await;
            assert_eq!(held.unwrap(), 4);
            client.set_nonblocking(true).unwrap();
            let early = client.peek(&mut [0]).unwrap_err();
            assert_eq!(early.kind(), io::ErrorKind::WouldBlock);
            client.set_nonblocking(false).unwrap();
            socket.shutdown().await.unwrap();
            let mut all = String::new();
            client.read_to_string(&mut all).unwrap();
            assert_eq!(all, "last");
        }
    }

    #[tokio::test]
    async fn a_request_that_came_with_its_connection_is_answered_without_watching() {
        let (mut client, mut socket) = connect();
        client.write_all(b"request").unwrap();
        let mut read = [0; 100];
        assert_eq!(socket.read(&mut read).await.unwrap(), 7);
        socket.write_all(b"answer").await.unwrap();
        assert!(!socket.is_watched());
        drop(socket);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    }

    #[tokio::test]
    async fn what_came_after_the_first_read_is_noticed_where_nobody_watches() {
        let (mut client, mut socket) = connect();
        client.write_all(b"request").unwrap();
        let mut read = [0; 100];
        assert_eq!(socket.read(&mut read).await.unwrap(), 7);
        assert!(!socket.has_more());
        client.write_all(b"more").unwrap();
        assert!(socket.has_more() && !socket.is_watched());
        assert_eq!(socket.read(&mut read).await.unwrap(), 4);
        drop(client);
        assert!(!socket.has_more());
    }

    #[tokio::test]
    async fn what_has_not_come_yet_is_waited_for() {
        let (mut client, mut socket) = connect();
        let mut read = [0; 100];
        let late = async {
            tokio::task::yield_now().await;
            client.write_all(b"late").unwrap();
        };
        let (length, ()) = tokio::join!(socket.read(&mut read), late);
        assert_eq!(length.unwrap(), 4);
        assert!(socket.is_watched());
    }

    #[tokio::test]
    async fn who_sends_on_and_on_is_read_from_once_and_then_in_turn() {
        let (mut client, mut socket) = connect();
        client.write_all(&[b'x'; FIRST + 1]).unwrap();
        let mut read = [0; FIRST * 2];
        assert_eq!(socket.read(&mut read).await.unwrap(), FIRST);
        assert!(!socket.is_watched());
        assert_eq!(socket.read(&mut read).await.unwrap(), 1);
        assert!(socket.is_watched());
    }

    #[tokio::test]
    async fn an_answer_that_the_client_does_not_take_at_once_is_waited_for() {
        let (mut client, mut socket) = connect();
        let large = vec![b'x'; 32 << 20];
        let reader = std::thread::spawn(move || {
            let mut read = Vec::new();
            client.read_to_end(&mut read)
        });
        socket.write_all(&large).await.unwrap();
        assert!(socket.is_watched());
        drop(socket);
        assert_eq!(reader.join().unwrap().unwrap(), large.len());
    }
}
