//! A compressed byte stream while it arrives: unpacked piece by piece, never more than was announced.

use std::{fmt, io};

use zstd::stream::raw::{DParameter, Decoder, Operation as _};

/// The largest window that is allocated, as a power of two: 8 MiB, which every zstd decoder must support.
const WINDOW_LOG_MAX: u32 = 23;
const PIECE_BYTES: usize = 64 * 1024;

/// Unpacks one zstd frame.
pub(crate) struct Inflate {
    decoder: Decoder<'static>,
    piece: Box<[u8]>,
    /// What may still come out.
    left: u64,
    is_finished: bool,
}

/// Why a byte stream cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It is not zstd, or needs too large a window.
    #[error("it cannot be decompressed: {0}")]
    Malformed(String),
    /// More comes out than was announced.
    #[error("it decompresses to more than the {0} bytes that were announced")]
    TooLong(u64),
    /// Something follows the end.
    #[error("bytes follow the end of what was compressed")]
    Trailing,
    /// It ends too early.
    #[error("it ends before what was compressed does")]
    Unfinished,
    /// Less comes out than was announced.
    #[error("it decompresses to {0} bytes fewer than were announced")]
    TooShort(u64),
}

// === impl Inflate ===

impl Inflate {
    /// Expects exactly this many bytes to come out.
    pub(crate) fn new(raw_bytes: u64) -> Result<Self, InflateError> {
        let mut decoder = Decoder::new().map_err(|error| malformed(&error))?;
        decoder
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .map_err(|error| malformed(&error))?;
        Ok(Self {
            decoder,
            piece: vec![0; PIECE_BYTES].into(),
            left: raw_bytes,
            is_finished: false,
        })
    }

    /// Unpacks what can be, and hands it on in pieces of at most 64 KiB.
    pub(crate) fn push<E: From<InflateError>>(
        &mut self,
        mut data: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            if self.is_finished {
                let is_all = data.is_empty();
                return if is_all {
                    Ok(())
                } else {
                    Err(InflateError::Trailing.into())
                };
            }
            let status = self
                .decoder
                .run_on_buffers(data, &mut self.piece)
                .map_err(|error| malformed(&error))?;
            data = data.get(status.bytes_read..).unwrap_or_default();
            let written = status.bytes_written;
            self.left = self
                .left
                .checked_sub(written as u64)
                .ok_or(InflateError::TooLong(self.left))?;
            take(self.piece.get(..written).unwrap_or_default())?;
            self.is_finished = status.remaining == 0;
            if data.is_empty() && written < PIECE_BYTES && !self.is_finished {
                return Ok(());
            }
        }
    }

    /// All that was announced came out, and nothing is missing.
    pub(crate) fn finish(&self) -> Result<(), InflateError> {
        match (self.is_finished, self.left) {
            (false, _) => Err(InflateError::Unfinished),
            (true, 0) => Ok(()),
            (true, left) => Err(InflateError::TooShort(left)),
        }
    }
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate")
            .field("left", &self.left)
            .field("is_finished", &self.is_finished)
            .finish_non_exhaustive()
    }
}

fn malformed(error: &io::Error) -> InflateError {
    InflateError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn inflate(packed: &[u8], raw_bytes: u64, cut: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = Vec::new();
        let mut inflate = Inflate::new(raw_bytes)?;
        for chunk in packed.chunks(cut) {
            inflate.push(chunk, |piece| {
                out.extend_from_slice(piece);
                Ok::<_, InflateError>(())
            })?;
        }
        inflate.finish().map(|()| out)
    }

    #[test]
    fn a_bomb_is_refused_when_it_passes_what_was_announced() {
        let zeros = vec![0; 64 * 1024 * 1024];
        let bomb = zstd::encode_all(zeros.as_slice(), 3).unwrap();
        assert!(bomb.len() < 100_000);
        let refused = inflate(&bomb, 1000, 100);
        assert!(
            matches!(refused, Err(InflateError::TooLong(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn a_window_of_more_than_8_mib_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(27).unwrap();
        io::copy(&mut [7_u8; 100].as_slice(), &mut encoder).unwrap();
        let refused = inflate(&encoder.finish().unwrap(), 100, 10);
        assert!(
            matches!(refused, Err(InflateError::Malformed(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn less_more_or_other_bytes_than_announced_are_refused() {
        let packed = zstd::encode_all([7_u8; 100].as_slice(), 3).unwrap();
        assert_eq!(inflate(&packed, 100, 7), Ok(vec![7; 100]));
        assert_eq!(inflate(&packed, 101, 7), Err(InflateError::TooShort(1)));
        let trailing = [packed.as_slice(), b"x"].concat();
        assert_eq!(inflate(&trailing, 100, 7), Err(InflateError::Trailing));
        let cut = &packed[..packed.len() - 1];
        assert_eq!(inflate(cut, 100, 7), Err(InflateError::Unfinished));
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_however_it_was_cut(
            raw in vec(0..4_u8, 0..300_000), cut in 1..5000_usize,
        ) {
            let packed = zstd::encode_all(raw.as_slice(), 3).unwrap();
            prop_assert_eq!(inflate(&packed, raw.len() as u64, cut), Ok(raw));
        }

        #[test]
        fn any_bytes_are_refused_or_unpacked(bytes in vec(any::<u8>(), 0..300), cut in 1..50_usize) {
            drop(inflate(&bytes, 1000, cut));
        }
    }
}
