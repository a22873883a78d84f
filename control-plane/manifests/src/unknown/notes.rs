//! What the strict reader noticed in one document.

use std::cell::{Cell, RefCell};

use super::path::Path;

/// What is written down while one document is read.
///
/// At first only whether there is anything at all: paths cost time, and a good document needs none. Where there is
/// something, the document is read again with [`Notes::detailed`].
#[derive(Debug)]
pub(crate) struct Notes<'t> {
    text: &'t [u8],
    detailed: bool,
    any: Cell<bool>,
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
    /// Notes only whether there is anything to note.
    pub(crate) fn cheap(text: &'t [u8]) -> Self {
        Self {
            text,
            detailed: false,
            any: Cell::new(false),
            list: RefCell::default(),
            failed: RefCell::default(),
        }
    }

    /// Notes everything, with paths.
    pub(crate) fn detailed(text: &'t [u8]) -> Self {
        Self {
            detailed: true,
            ..Self::cheap(text)
        }
    }

    /// Whether there was nothing to note.
    pub(crate) fn is_empty(&self) -> bool {
        !self.any.get()
    }

    /// What was noted, in the order of the document, and where reading failed.
    pub(crate) fn into_parts(self) -> (Vec<Note>, Option<String>) {
        (self.list.into_inner(), self.failed.into_inner())
    }

    pub(super) const fn wants_paths(&self) -> bool {
        self.detailed
    }

    /// Whether `value`, a piece of the text, stands in quotes there: then one follows it, which nothing without quotes
    /// can have. Text that was folded is no piece of it, and always a string.
    pub(super) fn is_quoted(&self, value: &str) -> bool {
        let start = value.as_ptr().addr().checked_sub(self.text.as_ptr().addr());
        let behind = start.and_then(|start| self.text.get(start + value.len()));
        matches!(behind, Some(b'"' | b'\''))
    }

    pub(super) fn unknown(&self, path: &Path<'_>, known: &'static [&'static str]) {
        self.any.set(true);
        if let (true, Path::Key { key, .. }) = (self.detailed, path) {
            self.list.borrow_mut().push(Note::Unknown {
                path: path.to_string(),
                field: (*key).to_owned(),
                known,
            });
        }
    }

    pub(super) fn duplicate(&self, path: &Path<'_>) {
        self.any.set(true);
        if self.detailed {
            self.list.borrow_mut().push(Note::Duplicate {
                path: path.to_string(),
            });
        }
    }

    /// The innermost value that could not be read; the first call wins.
    pub(super) fn failed(&self, path: &Path<'_>) {
        if self.detailed {
            self.failed
                .borrow_mut()
                .get_or_insert_with(|| path.to_string());
        }
    }
}
