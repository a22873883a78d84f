//! The lines of a document: where the next thing stands, and in which column.

use super::NotPlain;

/// A place in the text. Between values it is at the first character of a line that is neither blank nor a comment,
/// or behind the dash of an item.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
    /// The column of what comes next.
    column: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t [u8]) -> Result<Self, NotPlain> {
        let mut cursor = Self {
            text,
            at: 0,
            column: 0,
        };
        cursor.find_content()?;
        Ok(cursor)
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(super) const fn column(&self) -> usize {
        self.column
    }

    /// Whether an item of a sequence begins here.
    pub(super) fn is_at_dash(&self) -> bool {
        matches!(self.rest(), [b'-', b' ' | b'\n', ..] | [b'-'])
    }

    /// Steps over the dash of an item, to what stands behind it in the line.
    pub(super) fn step_over_dash(&mut self) -> Result<(), NotPlain> {
        let skip = 1 + spaces(self.rest().get(1..).unwrap_or_default());
        self.at += skip;
        self.column += skip;
        match self.rest().first() {
            None | Some(b'\n' | b'#') => Err(NotPlain),
            Some(_) if self.is_at_dash() => Err(NotPlain),
            Some(_) => Ok(()),
        }
    }

    /// Whether a key stands here.
    pub(super) fn is_at_key(&self) -> bool {
        self.key_length().is_ok()
    }

    /// The key that stands here; the cursor moves behind its colon.
    pub(super) fn key(&mut self) -> Result<&'t str, NotPlain> {
        let length = self.key_length()?;
        let key = self.rest().get(..length).ok_or(NotPlain)?;
        self.at += length + 1;
        Ok(str::from_utf8(key)?)
    }

    fn key_length(&self) -> Result<usize, NotPlain> {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|byte| !is_key(*byte))
            .ok_or(NotPlain)?;
        let is_key = matches!(rest.get(length..), Some([b':', b' ' | b'\n', ..] | [b':']));
        let begins = rest.first().is_some_and(u8::is_ascii_alphanumeric);
        if !is_key || length == 0 || length > LONGEST_KEY || !begins {
            return Err(NotPlain);
        }
        Ok(length)
    }

    /// What stands between here and the end of the line, without spaces and comment; the cursor moves to the next
    /// line that holds something.
    pub(super) fn rest_of_line(&mut self) -> Result<&'t [u8], NotPlain> {
        self.at += spaces(self.rest());
        let rest = self.rest();
        let mut end = None;
        let mut length = rest.len();
        let mut before = b' ';
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'\n' => {
                    length = at;
                    break;
                }
                b'#' if before == b' ' && end.is_none() => end = Some(at),
                b' '..=b'~' => {}
                _ => return Err(NotPlain),
            }
            before = *byte;
        }
        let value = rest.get(..end.unwrap_or(length)).unwrap_or_default();
        self.at += length;
        self.next_line()?;
        Ok(value.trim_ascii_end())
    }

    /// Whether nothing but a comment stands in the rest of the line.
    pub(super) fn is_line_empty(&self) -> bool {
        let rest = self.rest();
        let rest = rest.get(spaces(rest)..).unwrap_or_default();
        matches!(rest.first(), None | Some(b'\n' | b'#'))
    }

    /// Whether the rest of the line begins as `null` does.
    pub(super) fn may_be_null(&self) -> bool {
        let rest = self.rest();
        let rest = rest.get(spaces(rest)..).unwrap_or_default();
        matches!(rest.first(), Some(b'n' | b'N' | b'~'))
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// From the end of a line to the content of a later one.
    fn next_line(&mut self) -> Result<(), NotPlain> {
        self.at += 1;
        self.find_content()
    }

    /// From the start of a line to its content, or that of a later one.
    fn find_content(&mut self) -> Result<(), NotPlain> {
        loop {
            self.column = spaces(self.rest());
            self.at += self.column;
            match self.rest().first() {
                None => {
                    self.at = self.text.len();
                    return Ok(());
                }
                Some(b'\n') => self.at += 1,
                Some(b'#') => self.skip_comment()?,
                Some(b'!'..=b'~') => return Ok(()),
                Some(_) => return Err(NotPlain),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), NotPlain> {
        let rest = self.rest();
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let comment = rest.get(..length).unwrap_or_default();
        if !comment.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(NotPlain);
        }
        self.at += length + 1;
        Ok(())
    }
}

/// The parser looks no further for the colon of a key than 1024 characters.
const LONGEST_KEY: usize = 512;

fn spaces(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b' ').count()
}

const fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-')
}
