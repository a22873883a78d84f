//! Cutting a file into documents, so that each is read by itself and a bad one harms no other.

mod json;

/// A document of a file: never empty, never only comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'t> {
    /// The document within the file, from 1. Empty documents do not count.
    pub number: u32,
    /// The line within the file where its text begins, from 1.
    pub line: u32,
    /// Its text, from the start of the first line that is not a comment.
    pub text: &'t [u8],
}

/// The documents of a file.
///
/// YAML documents end at a line that begins with `---` or `...` in its first column. JSON values may follow each other
/// directly.
pub fn documents(text: &[u8]) -> impl Iterator<Item = Document<'_>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    Documents {
        rest: text,
        line: 1,
        number: 0,
    }
}

impl<'t> Document<'t> {
    /// The documents before and after a line of this one, from 1; the line itself belongs to neither.
    pub(crate) fn around(self, line: u32) -> impl Iterator<Item = Self> {
        let before = line.saturating_sub(1);
        let (start, rest) = split_at_line(self.text, before);
        let (_, end) = split_at_line(rest, 1);
        [(self.line, start), (self.line.saturating_add(line), end)]
            .into_iter()
            .flat_map(move |(line, text)| {
                documents(text).map(move |piece: Document<'t>| Self {
                    number: self.number,
                    line: line.saturating_add(piece.line).saturating_sub(1),
                    ..piece
                })
            })
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

struct Documents<'t> {
    rest: &'t [u8],
    /// The line at which `rest` begins.
    line: u32,
    number: u32,
}

impl<'t> Iterator for Documents<'t> {
    type Item = Document<'t>;

    fn next(&mut self) -> Option<Document<'t>> {
        loop {
            let start = self.skip_to_content()?;
            let (text, rest) = self.rest.split_at(self.end());
            let lines = line_breaks(text);
            self.rest = rest;
            self.line = start.saturating_add(lines);
            if !text.is_empty() {
                self.number = self.number.saturating_add(1);
                return Some(Document {
                    number: self.number,
                    line: start,
                    text,
                });
            }
            // `...` right after a marker
            self.skip_line();
        }
    }
}

impl Documents<'_> {
    /// Leaves comments, directives and markers behind; the line where something begins.
    fn skip_to_content(&mut self) -> Option<u32> {
        loop {
            let line = first_line(self.rest);
            let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
            match marker(line) {
                Some(Marker::Start) => {
                    // `--- {kind: Pod}`: the rest of the line belongs to the document
                    let after = line.get(3..).unwrap_or_default().trim_ascii_start();
                    if after.is_empty() || after.starts_with(b"#") {
                        self.skip_line();
                    } else {
                        let skipped = first_line(self.rest).len() - after.len();
                        self.rest = self.rest.get(skipped..).unwrap_or_default();
                        return Some(self.line);
                    }
                }
                Some(Marker::End) => self.skip_line(),
                None => {
                    let content = line.trim_ascii_start();
                    if !content.is_empty()
                        && !content.starts_with(b"#")
                        && !(line.starts_with(b"%"))
                    {
                        let mark = first_line(self.rest).len() - line.len();
                        self.rest = self.rest.get(mark..).unwrap_or_default();
                        return Some(self.line);
                    }
                    if self.rest.is_empty() {
                        return None;
                    }
                    self.skip_line();
                }
            }
        }
    }

    fn skip_line(&mut self) {
        let line = first_line(self.rest).len();
        self.rest = self.rest.get(line..).unwrap_or_default();
        self.line = self.line.saturating_add(1);
    }

    /// Where the document that begins here ends.
    fn end(&self) -> usize {
        let marker = memchr::memchr_iter(b'\n', self.rest)
            .map(|line_break| line_break + 1)
            .find(|start| {
                self.rest
                    .get(*start..)
                    .is_some_and(|line| marker(line).is_some())
            });
        let end = marker.unwrap_or(self.rest.len());
        let text = self.rest.get(..end).unwrap_or_default();
        json::end_of_first_value(text).unwrap_or(end)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    Start,
    End,
}

fn marker(line: &[u8]) -> Option<Marker> {
    let marker = match line.get(..3)? {
        b"---" => Marker::Start,
        b"..." => Marker::End,
        _ => return None,
    };
    line.get(3)
        .is_none_or(u8::is_ascii_whitespace)
        .then_some(marker)
}

/// The first line, with its line break.
fn first_line(text: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', text).map_or(text.len(), |at| at + 1);
    text.get(..end).unwrap_or(text)
}

fn split_at_line(text: &[u8], lines: u32) -> (&[u8], &[u8]) {
    let at = (0..lines).fold(0, |at, _| {
        at + first_line(text.get(at..).unwrap_or_default()).len()
    });
    text.split_at(at)
}

fn line_breaks(text: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', text).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
