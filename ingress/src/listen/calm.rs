//! What hyper leaves open of HTTP/2 on a connection: an end with `GOAWAY`, `ENHANCE_YOUR_CALM`, between two frames of what it
//! writes.
//!
//! Hyper itself ends connections politely only, and what a hostile client has under way would go on.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;
/// `GOAWAY` on stream 0 for all streams, with the error code `ENHANCE_YOUR_CALM`.
const GOAWAY: [u8; HEAD + 8] = [
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0x0b,
];

/// Tells a [`Calmed`] stream to end, and what it has sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Calm(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_demanded: AtomicBool,
    /// A frame of data.
    has_sent: AtomicBool,
}

/// A stream that can be ended between two frames.
#[derive(Debug)]
pub(super) struct Calmed<S> {
    stream: S,
    calm: Calm,
    frames: Frames,
    /// Bytes of the last frame that were written.
    said: usize,
}

/// Where in its frames a stream of HTTP/2 is.
#[derive(Debug, Default)]
struct Frames {
    head: [u8; HEAD],
    filled: usize,
    /// Bytes of the payload that are still to come.
    left: usize,
}

impl Calm {
    pub(super) fn demand(&self) {
        self.0.is_demanded.store(true, Ordering::Relaxed);
    }

    /// Whether data was sent since this was last asked.
    pub(super) fn take_sent(&self) -> bool {
        self.0.has_sent.swap(false, Ordering::Relaxed)
    }
}

// === impl Frames ===

impl Frames {
    /// Goes on by these bytes, and says whether a frame of data began in them.
    fn advance(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_data = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let taken = (HEAD - self.filled).min(bytes.len());
            let (head, rest) = bytes.split_at_checked(taken).unwrap_or_default();
            if let Some(place) = self.head.get_mut(self.filled..self.filled + taken) {
                place.copy_from_slice(head);
            }
            self.filled += taken;
            bytes = rest;
            if self.filled == HEAD {
                self.filled = 0;
                let [a, b, c, kind, ..] = self.head.map(usize::from);
                self.left = a << 16 | b << 8 | c;
                has_data |= kind == 0;
            }
        }
        has_data
    }

    fn is_between(&self) -> bool {
        self.filled == 0 && self.left == 0
    }
}

// === impl Calmed ===

impl<S: AsyncWrite + Unpin> Calmed<S> {
    pub(super) fn new(stream: S, calm: Calm) -> Self {
        Self {
            stream,
            calm,
            frames: Frames::default(),
            said: 0,
        }
    }

    /// Says the last frame, and then that there is no connection any more.
    fn poll_last_word(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while let Some(rest) = GOAWAY.get(self.said..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(0) => break,
                Ok(written) => self.said += written,
                Err(error) => return Poll::Ready(error),
            }
        }
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            return Poll::Ready(error);
        }
        let message = "the client took back too many requests";
        Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, message))
    }

    fn advance(&mut self, written: &[u8]) {
        if self.frames.advance(written) {
            self.calm.0.has_sent.store(true, Ordering::Relaxed);
        }
    }

    fn is_ending(&self) -> bool {
        self.calm.0.is_demanded.load(Ordering::Relaxed) && self.frames.is_between()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Calmed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_ending() {
            return this.poll_last_word(cx).map(Err);
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Calmed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_ending() {
            return this.poll_last_word(cx).map(Err);
        }
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.advance(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_ending() {
            return this.poll_last_word(cx).map(Err);
        }
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let part = left.min(slice.len());
            this.advance(slice.get(..part).unwrap_or_default());
            left -= part;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn the_last_word_is_said_after_the_frame_that_was_begun() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let calm = Calm::default();
        let mut stream = Calmed::new(ours, calm.clone());
        let frame = [0, 0, 6, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6];
        stream.write_all(&frame[..10]).await.unwrap();
        calm.demand();
        stream.write_all(&frame[10..]).await.unwrap();
        let error = stream.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        drop(stream);
        let mut read = vec![];
        theirs.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, [&frame[..], &GOAWAY].concat());
    }

    proptest! {
        #[test]
        fn between_frames_is_between_frames_however_they_are_cut(
            lengths in prop::collection::vec(0_usize..300, 0..6),
            cuts in prop::collection::vec(1_usize..40, 1..60),
        ) {
            let mut bytes = vec![];
            let mut ends = vec![0];
            for length in lengths {
                let size = u32::try_from(length).unwrap().to_be_bytes();
                bytes.extend_from_slice(&size[1..]);
                bytes.extend_from_slice(&[0; 6]);
                bytes.extend(std::iter::repeat_n(0xff, length));
                ends.push(bytes.len());
            }
            let mut frames = Frames::default();
            let mut at = 0;
            for cut in cuts {
                let end = (at + cut).min(bytes.len());
                frames.advance(&bytes[at..end]);
                at = end;
                prop_assert_eq!(frames.is_between(), ends.contains(&at));
            }
        }
    }
}
