//! A document as lines, and which of them can be anything but YAML's structure.

use crate::document::Document;

/// The lines of a document that cannot be read.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    lines: Vec<Line<'t>>,
    first: u32,
}

/// A line without its line break.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'t> {
    /// In the document, from 1.
    pub(super) number: u32,
    pub(super) text: &'t [u8],
    /// Whether it is part of a block of text (`key: |`).
    pub(super) is_block_text: bool,
}

impl<'t> Lines<'t> {
    pub(super) fn of(document: &Document<'t>) -> Self {
        let mut block: Option<usize> = None;
        let split = document.text.split(|byte| *byte == b'\n');
        let lines = split.zip(1_u32..).map(|(text, number)| {
            let mut line = Line {
                number,
                text: text.strip_suffix(b"\r").unwrap_or(text),
                is_block_text: false,
            };
            line.is_block_text =
                block.is_some_and(|parent| line.is_blank() || line.depth() > parent);
            if !line.is_block_text {
                block = line.begins_block_text().then(|| line.depth());
            }
            line
        });
        Self {
            lines: lines.collect(),
            first: document.line,
        }
    }

    /// Lines of structure: neither blank, nor comments, nor inside a block of text.
    pub(super) fn structure(&self) -> impl DoubleEndedIterator<Item = Line<'t>> {
        self.lines
            .iter()
            .copied()
            .filter(|line| !line.is_block_text && !line.is_blank() && !line.is_comment())
    }

    /// The line of this number, from 1.
    pub(super) fn get(&self, number: u32) -> Option<Line<'t>> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.lines.get(index).copied()
    }

    /// The line's number in the file.
    pub(super) fn in_file(&self, number: u32) -> u32 {
        self.first.saturating_add(number).saturating_sub(1)
    }

    /// The document with other text in some lines.
    pub(super) fn with(&self, mut change: impl FnMut(Line<'t>) -> Option<Vec<u8>>) -> Vec<u8> {
        let changed: Vec<Vec<u8>> = self
            .lines
            .iter()
            .map(|line| change(*line).unwrap_or_else(|| line.text.to_vec()))
            .collect();
        changed.join(&b'\n')
    }
}

impl<'t> Line<'t> {
    /// How many spaces it begins with.
    pub(super) fn depth(&self) -> usize {
        self.text.iter().take_while(|byte| **byte == b' ').count()
    }

    /// The text between the spaces.
    pub(super) fn content(&self) -> &'t [u8] {
        self.text.trim_ascii()
    }

    pub(super) fn is_blank(&self) -> bool {
        self.content().is_empty()
    }

    pub(super) fn is_comment(&self) -> bool {
        self.content().starts_with(b"#")
    }

    /// The column of the key, behind any dashes, and the key.
    pub(super) fn key(&self) -> Option<(usize, &'t [u8])> {
        let mut column = self.depth();
        let mut rest = self.text.get(column..)?.trim_ascii_end();
        while let Some(after) = rest.strip_prefix(b"- ") {
            let item = after.trim_ascii_start();
            column += rest.len() - item.len();
            rest = item;
        }
        let end = colon(rest)?;
        let key = rest.get(..end)?;
        (!key.is_empty()).then_some((column, key))
    }

    /// What stands behind the key's colon.
    pub(super) fn value(&self) -> Option<&'t [u8]> {
        let (column, key) = self.key()?;
        let value = self.text.get(column + key.len() + 1..)?.trim_ascii();
        Some(value)
    }

    /// The line as text for a message, not too long.
    pub(super) fn quote(&self) -> String {
        const LONGEST: usize = 60;
        let text = String::from_utf8_lossy(self.content());
        let short: String = text.chars().take(LONGEST).collect();
        if short.len() < text.len() {
            format!("`{short}…`")
        } else {
            format!("`{short}`")
        }
    }

    fn begins_block_text(&self) -> bool {
        let value = self.value().unwrap_or_else(|| {
            self.content()
                .strip_prefix(b"- ")
                .unwrap_or_default()
                .trim_ascii()
        });
        let value = value.split(|byte| *byte == b'#').next().unwrap_or_default();
        match value.trim_ascii() {
            [b'|' | b'>', rest @ ..] => rest
                .iter()
                .all(|byte| matches!(byte, b'+' | b'-' | b'0'..=b'9')),
            _ => false,
        }
    }
}

/// The colon that ends a key: one with a space or nothing behind it.
fn colon(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b':', text).find(|at| text.get(at + 1).is_none_or(u8::is_ascii_whitespace))
}
