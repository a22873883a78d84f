//! A `List`, as `kubectl get -o yaml` prints it: each item is read as a document of its own.

use std::borrow::Cow;

use serde::Deserialize;

use super::{
    header,
    kinds::Kind,
    place::Place,
    quick::{Outcome, read_as},
};
use crate::document::Document;

/// Reads every item. None where the list cannot be taken apart.
pub(super) fn read(place: &Place<'_>, assumed: Option<&'static Kind>) -> Option<Outcome> {
    let items = by_lines(place.document.text).or_else(|| by_value(place.document.text))?;
    let mut outcome = Outcome::default();
    for item in &items {
        let item = Place {
            path: place.path,
            document: Document {
                number: place.document.number,
                line: place.file_line(item.line),
                text: &item.text,
            },
        };
        outcome.extend(read_as(&item, assumed));
    }
    Some(outcome)
}

struct Item<'t> {
    /// In the list's text, from 1.
    line: u32,
    text: Cow<'t, [u8]>,
}

/// Cuts a list in block style at the dashes of its items: cheap, and lines stay known.
fn by_lines(text: &[u8]) -> Option<Vec<Item<'_>>> {
    if has_aliases(text) || has_bare_returns(text) || header::count(text, b"items:") != 1 {
        return None;
    }
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').zip(1_u32..);
    // The list without its items, which must be a mapping too.
    let mut frame = Vec::new();
    for (line, _) in lines.by_ref() {
        if line.strip_prefix(b"items:").is_some_and(is_empty) {
            break;
        }
        frame.extend_from_slice(line);
    }
    frame.extend_from_slice(b"items: []\n");
    let mut dash = None;
    let mut items: Vec<Item<'_>> = Vec::new();
    while let Some((line, number)) = lines.next() {
        let depth = depth(line);
        let content = line.get(depth..).unwrap_or_default();
        let is_item = content.starts_with(b"- ");
        if is_empty(content) {
            // belongs to whatever it is in
        } else if is_item && depth == *dash.get_or_insert(depth) {
            items.push(Item {
                line: number,
                text: Cow::Owned(Vec::new()),
            });
        } else if depth <= dash? {
            frame.extend_from_slice(line);
            lines
                .by_ref()
                .for_each(|(line, _)| frame.extend_from_slice(line));
            break;
        }
        if let Some(item) = items.last_mut() {
            item.text.to_mut().extend_from_slice(line);
        }
    }
    yaml_serde::from_slice::<header::Header>(&frame).ok()?;
    for item in &mut items {
        item.text = Cow::Owned(without_dash(&item.text)?);
    }
    (!items.is_empty()).then_some(items)
}

/// The item's text as that of a document: without its dash, moved to the first column. None where a line of it stands
/// further to the left, which would not be as wrong there.
fn without_dash(item: &[u8]) -> Option<Vec<u8>> {
    let dash = depth(item);
    let column = dash + 1 + depth(item.get(dash + 1..).unwrap_or_default());
    let mut text = Vec::with_capacity(item.len());
    let mut lines = item.split_inclusive(|byte| *byte == b'\n');
    text.extend_from_slice(
        lines
            .next()
            .and_then(|line| line.get(column..))
            .unwrap_or_default(),
    );
    for line in lines {
        let depth = depth(line);
        if depth < column && !is_empty(line) {
            return None;
        }
        text.extend_from_slice(line.get(depth.min(column)..).unwrap_or_default());
    }
    Some(text)
}

/// Takes any other list apart by its value: its items have no lines of their own then.
fn by_value(text: &[u8]) -> Option<Vec<Item<'_>>> {
    #[derive(Deserialize)]
    struct List {
        items: Option<Vec<yaml_serde::Value>>,
    }
    let List { items } = yaml_serde::from_slice(text).ok()?;
    let items = items.unwrap_or_default().into_iter();
    items
        .map(|mut item| {
            item.apply_merge().ok()?;
            let text = serde_json::to_vec_pretty(&item).ok()?;
            Some(Item {
                line: 1,
                text: Cow::Owned(text),
            })
        })
        .collect()
}

/// An item may refer to an anchor in another.
fn has_aliases(text: &[u8]) -> bool {
    memchr::memchr_iter(b'*', text).any(|at| {
        let around = at.checked_sub(1).and_then(|before| text.get(before..at + 2));
        matches!(around, Some([b' ' | b'[' | b'{' | b',', _, name]) if name.is_ascii_alphanumeric() || *name == b'_')
    })
}

/// To the parser a carriage return by itself ends a line.
fn has_bare_returns(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', text).any(|at| text.get(at + 1) != Some(&b'\n'))
}

fn depth(line: &[u8]) -> usize {
    line.iter().take_while(|byte| **byte == b' ').count()
}

fn is_empty(content: &[u8]) -> bool {
    let content = content.trim_ascii();
    content.is_empty() || content.starts_with(b"#")
}

#[cfg(test)]
mod tests;
