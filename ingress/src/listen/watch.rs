//! A client's socket, which the runtime watches only for what somebody waits for.
//!
//! Clients that have sent their request by the time that they are accepted, and leave after the answer, are served without ever
//! being watched: a socket that is watched costs two system calls more, and a turn of the event loop. Most others are watched for
//! what they send alone: a socket has room for an answer from the start, and would tell of that too.

mod promptness;

use std::{
    io::{self, IoSlice, Read as _, Write as _},
    net::{Shutdown, TcpStream as Unwatched},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use rustix::net::{SendFlags, send};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd},
    net::TcpStream,
};

pub(crate) use self::promptness::Promptness;

/// Bytes that are read before the socket is watched for everything: a head, nearly always.
const FIRST: usize = 2048;

/// A client's socket. It does not block.
#[derive(Debug)]
pub(super) enum Socket {
    /// What was sent with the connection may be there.
    New(Unwatched, Rc<Promptness>),
    /// It was read from once, or it is hardly worth it. From then on it takes its turns with others.
    Begun(Unwatched),
    /// The runtime tells when something comes.
    Heard(AsyncFd<Unwatched>),
    /// The runtime tells of everything.
    Watched(TcpStream),
    /// It could not be watched, and is closed.
    Lost,
}

impl Socket {
    pub(super) fn new(tcp: Unwatched, promptness: &Rc<Promptness>) -> Self {
        if promptness.is_worth_a_look() {
            Self::New(tcp, Rc::clone(promptness))
        } else {
            Self::Begun(tcp)
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        !matches!(self, Self::New(..) | Self::Begun(_))
    }

    /// Has the runtime tell of everything from now on.
    pub(super) fn watched(&mut self) -> io::Result<&mut TcpStream> {
        let tcp = match std::mem::replace(self, Self::Lost) {
            Self::New(tcp, _) | Self::Begun(tcp) => TcpStream::from_std(tcp)?,
            Self::Heard(tcp) => TcpStream::from_std(tcp.into_inner())?,
            Self::Watched(tcp) => tcp,
            Self::Lost => return Err(io::ErrorKind::NotConnected.into()),
        };
        *self = Self::Watched(tcp);
        match self {
            Self::Watched(tcp) => Ok(tcp),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The same, for somebody who waits until the client takes more. Who waits for what it sends may have asked already, and is to ask again.
    fn watched_for_room(&mut self, cx: &Context<'_>) -> io::Result<&mut TcpStream> {
        if let Self::Heard(_) = self {
            cx.waker().wake_by_ref();
        }
        self.watched()
    }

    /// Whether something has come that nobody was told of.
    pub(super) fn has_more(&self) -> bool {
        let (Self::New(tcp, _) | Self::Begun(tcp)) = self else {
            return false;
        };
        matches!(tcp.peek(&mut [0]), Ok(1..))
    }

    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::New(tcp, _) | Self::Begun(tcp) => Some(tcp.as_fd()),
            Self::Heard(tcp) => Some(tcp.as_fd()),
            Self::Watched(tcp) => Some(tcp.as_fd()),
            Self::Lost => None,
        }
    }

    /// Reads what has come with the connection; none where that is still to be waited for.
    fn read_first(&mut self, buffer: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        let Self::New(tcp, promptness) = std::mem::replace(self, Self::Lost) else {
            return None;
        };
        let read = unless_to_wait(read_some(&tcp, buffer));
        *self = Self::Begun(tcp);
        promptness.learn(read.is_some());
        Some(read?.map(drop))
    }

    /// Waits for what comes, and reads it.
    fn poll_heard(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Self::Begun(_) = self
            && let Self::Begun(tcp) = std::mem::replace(self, Self::Lost)
        {
            #[expect(
                deprecated,
                reason = "it is unsound for what may be closed meanwhile, which a socket that it owns is not"
            )]
            let heard = AsyncFd::with_interest(tcp, Interest::READABLE)?;
            *self = Self::Heard(heard);
        }
        let Self::Heard(tcp) = self else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        loop {
            let mut ready = ready!(tcp.poll_read_ready(cx))?;
            let Some(read) = unless_to_wait(read_some(ready.get_inner(), buffer)) else {
                ready.clear_ready();
                continue;
            };
            match read? {
                // The runtime reads more at once.
                FIRST.. => drop(self.watched()?),
                // Nothing more is there, and the runtime will tell.
                1.. if buffer.remaining() > 0 => ready.clear_ready(),
                _ => {}
            }
            return Poll::Ready(Ok(()));
        }
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
        let tcp = self.watched_for_room(cx)?;
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            let written = tcp.try_io(Interest::WRITABLE, || send_held(&*tcp, bytes));
            if let Some(written) = unless_to_wait(written) {
                return Poll::Ready(written);
            }
        }
    }

    /// Writes to a socket that the runtime tells no room of; none where that is to be waited for.
    fn write_unwatched(
        &mut self,
        write: impl FnOnce(&Unwatched) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let tcp = match self {
            Self::New(tcp, _) | Self::Begun(tcp) => tcp,
            Self::Heard(tcp) => tcp.get_ref(),
            Self::Watched(_) | Self::Lost => return None,
        };
        unless_to_wait(write(tcp))
    }
}

/// Reads as much as a head is, mostly.
fn read_some(mut tcp: &Unwatched, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
    let length = buffer.remaining().min(FIRST);
    let read = tcp.read(buffer.initialize_unfilled_to(length))?;
    buffer.advance(read);
    Ok(read)
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
        if let Self::New(..) = this
            && let Some(read) = this.read_first(buffer)
        {
            return Poll::Ready(read);
        }
        match this {
            Self::Watched(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            this => this.poll_heard(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.write_unwatched(|mut tcp| tcp.write(bytes)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(this.watched_for_room(cx)?).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.write_unwatched(|mut tcp| tcp.write_vectored(slices)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(this.watched_for_room(cx)?).poll_write_vectored(cx, slices),
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
            Self::New(tcp, _) | Self::Begun(tcp) => Poll::Ready(tcp.shutdown(Shutdown::Write)),
            Self::Heard(tcp) => Poll::Ready(tcp.get_ref().shutdown(Shutdown::Write)),
            Self::Watched(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests;
