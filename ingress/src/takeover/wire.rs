//! One byte at a time over a Unix socket, and with it a socket or none (`SCM_RIGHTS`).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{io::Interest, net::UnixStream};

/// What is said. Later versions only add words, which earlier ones refuse: then nothing is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Word {
    /// The sockets are.
    Wanted = b'W',
    /// Here is one.
    Socket = b'S',
    /// That was the last one.
    End = b'E',
    /// The successor accepts from all of them.
    Serving = b'R',
}

impl Word {
    fn of(byte: u8) -> Option<Self> {
        let words = [Self::Wanted, Self::Socket, Self::End, Self::Serving];
        words.into_iter().find(|word| *word as u8 == byte)
    }
}

pub(super) fn nonsense() -> io::Error {
    let message = "the other side is no ingress of a version that is understood here";
    io::Error::new(io::ErrorKind::InvalidData, message)
}

pub(super) async fn send(
    stream: &UnixStream,
    word: Word,
    socket: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let sent = stream.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let sockets = socket.as_slice();
        if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(nonsense());
        }
        let byte = [word as u8];
        let bytes = [IoSlice::new(&byte)];
        Ok(sendmsg(stream, &bytes, &mut control, SendFlags::NOSIGNAL)?)
    });
    match sent.await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok(()),
    }
}

/// Fails where the other side has ended.
pub(super) async fn receive(stream: &UnixStream) -> io::Result<(Word, Option<OwnedFd>)> {
    let received = stream.async_io(Interest::READABLE, || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut bytes = [IoSliceMut::new(&mut byte)];
        let received = recvmsg(stream, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut socket = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sockets) = message {
                socket = sockets.last();
            }
        }
        Ok((received.bytes, byte, socket))
    });
    match received.await? {
        (0, ..) => Err(io::ErrorKind::UnexpectedEof.into()),
        (_, [byte], socket) => Ok((Word::of(byte).ok_or_else(nonsense)?, socket)),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsFd as _};

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_socket_arrives_with_its_word_and_is_the_same_one() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, last) = (Word::Socket, Word::End);
        send(&ours, first, Some(listener.as_fd())).await.unwrap();
        send(&ours, last, None).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let (word, socket) = receive(&theirs).await.unwrap();
        let socket = TcpListener::from(socket.unwrap());
        assert_eq!((word, socket.local_addr().unwrap()), (first, address));
        assert!(std::net::TcpStream::connect(address).is_ok());
        assert!(matches!(receive(&theirs).await.unwrap(), (Word::End, None)));
        drop(ours);
        let error = receive(&theirs).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn an_unknown_word_is_refused() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"?").await.unwrap();
        let error = receive(&theirs).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
