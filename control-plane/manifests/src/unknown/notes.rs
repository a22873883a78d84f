//! What the strict reader noticed in one document.

use std::cell::RefCell;

use super::path::Path;

/// What is written down while one document is read.
#[derive(Debug)]
pub(crate) struct Notes<'t> {
    text: &'t [u8],
    list: RefCell<Vec<Note>>,
    failed: RefCell<Option<String>>,
}

/// One thing that serde would have forgiven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// A field that the struct does not have.
    Unknown {
        /// Its path.
        path: String,
        /// Its last part.
        field: String,
        /// The fields that the struct has.
        known: &'static [&'static str],
    },
    /// A key for the second time.
    Duplicate {
        /// Its path.
        path: String,
    },
}

impl<'t> Notes<'t> {
    /// Nothing yet.
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            list: RefCell::default(),
            failed: RefCell::default(),
        }
    }

    /// What was noted, in the order of the document, and where reading failed.
    pub(crate) fn into_parts(self) -> (Vec<Note>, Option<String>) {
        (self.list.into_inner(), self.failed.into_inner())
    }

    /// Whether `value`, a piece of the text, is said to be text there: it stands in quotes, so that one follows it,
    /// which nothing without quotes can have, or behind the tag of strings. Text that was folded is no piece of it,
    /// and always a string.
    pub(super) fn is_said_to_be_text(&self, value: &str) -> bool {
        let start = value.as_ptr().addr().checked_sub(self.text.as_ptr().addr());
        let Some((before, behind)) = start.and_then(|start| self.text.split_at_checked(start))
        else {
            return false;
        };
        matches!(behind.get(value.len()), Some(b'"' | b'\''))
            || before.trim_ascii_end().ends_with(b"!!str")
    }

    pub(super) fn unknown(&self, path: &Path<'_>, known: &'static [&'static str]) {
        if let Path::Key { key, .. } = path {
            self.list.borrow_mut().push(Note::Unknown {
                path: path.to_string(),
                field: (*key).to_owned(),
                known,
            });
        }
    }

    pub(super) fn duplicate(&self, path: &Path<'_>) {
        self.list.borrow_mut().push(Note::Duplicate {
            path: path.to_string(),
        });
    }

    /// The innermost value that could not be read; the first call wins.
    pub(super) fn failed(&self, path: &Path<'_>) {
        self.failed
            .borrow_mut()
            .get_or_insert_with(|| path.to_string());
    }
}
