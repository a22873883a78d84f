//! Cuts a stream of bytes into lines of bounded length.

use super::reflector::Failure;

/// The longest line, in bytes. An object in etcd has 1.5 MiB, and JSON makes of it a few times as much at most.
const LONGEST: usize = 32 * 1024 * 1024;

/// The end of what came, without its line end yet.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    /// Takes in bytes, and calls `each` with every line that is whole now.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.0.is_empty() {
                tell(line, &mut each)?;
            } else {
                self.keep(line)?;
                let whole = std::mem::take(&mut self.0);
                tell(&whole, &mut each)?;
            }
        }
        self.keep(bytes)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(Failure::Broken(format!(
                "the API server sent an event of more than {LONGEST} bytes"
            )));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn tell(line: &[u8], each: &mut impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    match std::str::from_utf8(line) {
        Ok(line) if line.trim_ascii().is_empty() => Ok(()),
        Ok(line) => each(line),
        Err(error) => Err(Failure::Broken(format!(
            "the API server sent text that is not UTF-8: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_memory() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 1024 * 1024];
        let refused = (0..64).find_map(|_| lines.take(&piece, |_| Ok(())).err());
        assert!(matches!(refused, Some(Failure::Broken(_))), "{refused:?}");
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(texts in prop::collection::vec("[a-z]{1,9}", 0..9), cut in 1usize..20) {
            let all: String = texts.iter().flat_map(|text| [text.as_str(), "\n"]).collect();
            let mut lines = Lines::default();
            let mut told = Vec::new();
            for piece in all.as_bytes().chunks(cut) {
                lines.take(piece, |line| { told.push(line.to_owned()); Ok(()) }).unwrap();
            }
            prop_assert_eq!(told, texts);
        }
    }
}
