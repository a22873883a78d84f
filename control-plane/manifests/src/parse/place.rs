//! Where in a file something is.

use std::borrow::Cow;

use meshlite_snapshot::{ObjectRef, SourceLocation};

use super::{depth::is_too_deep, header, kinds};
use crate::{Problem, document::Document};

/// A document and the file that it is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'t> {
    pub(super) path: &'t str,
    pub(super) document: Document<'t>,
}

impl Place<'_> {
    /// The source of an object: the document's first line.
    pub(super) fn source(&self) -> SourceLocation {
        self.source_at(1)
    }

    /// The source of something in a line of the document, from 1.
    pub(super) fn source_at(&self, line: u32) -> SourceLocation {
        SourceLocation {
            file: self.path.to_owned(),
            document: self.document.number,
            line: self.file_line(line),
        }
    }

    /// The line in the file of a line in the document.
    pub(super) fn file_line(&self, line: u32) -> u32 {
        self.document.line.saturating_add(line.saturating_sub(1))
    }
}

/// The object that a text which cannot be read probably holds: its kind and the name and namespace in the lines
/// below `metadata:`.
pub(super) fn probable_reference(text: &[u8]) -> ObjectRef {
    let text = String::from_utf8_lossy(text);
    let mut reference = ObjectRef::default();
    if let Some(header) = header::sniff(text.as_bytes()) {
        reference.kind = Cow::Owned(header.kind);
    }
    let metadata = text
        .lines()
        .skip_while(|line| line.trim_end() != "metadata:")
        .skip(1)
        .take_while(|line| line.starts_with(' ') || line.trim().is_empty());
    let mut indent = None;
    for line in metadata.filter(|line| !line.trim().is_empty()) {
        let depth = line.len() - line.trim_start().len();
        if *indent.get_or_insert(depth) != depth {
            continue;
        }
        let value = |key| {
            let value: &str = line.trim().strip_prefix(key)?;
            let value = value.split(" #").next().unwrap_or_default();
            Some(value.trim().trim_matches(['"', '\'']).to_owned())
        };
        if let Some(name) = value("name:") {
            reference.name = name;
        } else if let Some(namespace) = value("namespace:") {
            reference.namespace = namespace;
        }
    }
    if reference.namespace.is_empty() && kinds::is_namespaced(&reference.kind) {
        "default".clone_into(&mut reference.namespace);
    }
    reference
}

/// What is wrong with a document that is nothing to parse at all, and in which line.
pub(super) fn unreadable(place: &Place<'_>) -> Option<(Problem, u32)> {
    let text = place.document.text;
    if is_too_deep(text) {
        let problem = Problem::error("", "NotYaml", "brackets are nested too deep");
        return Some((problem, 1));
    }
    let error = str::from_utf8(text).err()?;
    let good = text.get(..error.valid_up_to()).unwrap_or_default();
    let line = memchr::memchr_iter(b'\n', good).count() + 1;
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    let is_utf16 = text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff");
    let message = if is_utf16 {
        "the file is UTF-16; save it as UTF-8".to_owned()
    } else {
        format!("line {} is not UTF-8 text", place.file_line(line))
    };
    Some((Problem::error("", "NotText", message), line))
}
