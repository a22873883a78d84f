//! What a document says it is, found without parsing it.

use serde::Deserialize;

/// The kind and apiVersion of a document; empty where it names none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Header {
    /// `v1`, `networking.k8s.io/v1`.
    pub(crate) api_version: String,
    /// `Service`.
    pub(crate) kind: String,
}

/// The header, from the lines in the first column where the document is written in block style, as nearly all are.
pub(crate) fn sniff(text: &[u8]) -> Option<Header> {
    let mut header = Header::default();
    for line in lines(text) {
        if let Some(value) = value_of(line, b"kind:") {
            value.clone_into(&mut header.kind);
        } else if let Some(value) = value_of(line, b"apiVersion:") {
            value.clone_into(&mut header.api_version);
        } else {
            continue;
        }
        if !header.kind.is_empty() && !header.api_version.is_empty() {
            return Some(header);
        }
    }
    None
}

/// The header of a document in any style: of JSON at the price of a fast parse, of others at that of a slow one.
pub(crate) fn read(text: &[u8]) -> Result<Header, yaml_serde::Error> {
    let json = || {
        let text = text.starts_with(b"{").then_some(text)?;
        serde_json::from_slice(text).ok()
    };
    sniff(text)
        .or_else(json)
        .map_or_else(|| yaml_serde::from_slice(text), Ok)
}

/// How often a key stands in the first column.
pub(crate) fn count(text: &[u8], key: &[u8]) -> usize {
    lines(text).filter(|line| line.starts_with(key)).count()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text).map(|at| at + 1));
    starts.filter_map(|start| text.get(start..))
}

/// The plain or quoted scalar behind a key; empty where it is something else.
fn value_of<'t>(line: &'t [u8], key: &[u8]) -> Option<&'t str> {
    let value = line.strip_prefix(key)?;
    let end = memchr::memchr2(b'\n', b'#', value).unwrap_or(value.len());
    let value = value.get(..end)?;
    if !value.first().is_none_or(u8::is_ascii_whitespace) {
        return None;
    }
    let value = unquote(value.trim_ascii());
    let is_plain = value
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'-' | b'_'));
    let text = str::from_utf8(value).ok()?;
    Some(if is_plain { text } else { "" })
}

fn unquote(value: &[u8]) -> &[u8] {
    [b"\"", b"'"]
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_found_in_any_order_and_style() {
        let service = Header {
            api_version: "v1".into(),
            kind: "Service".into(),
        };
        for text in [
            "apiVersion: v1\nkind: Service\n",
            "metadata:\n  name: a\nkind: \"Service\"  # really\napiVersion: 'v1'\r\n",
            "{\"kind\": \"Service\", \"apiVersion\": \"v1\"}",
            "  apiVersion: v1\n  kind: Service\n",
            "\"apiVersion\": v1\n\"kind\": Service\n",
        ] {
            assert_eq!(read(text.as_bytes()).unwrap(), service, "{text}");
        }
    }

    #[test]
    fn a_nested_kind_is_not_the_header() {
        assert_eq!(sniff(b"apiVersion: v1\nspec:\n  kind: Pod\n"), None);
        assert_eq!(sniff(b"kinder: a\napiVersions: v1\n"), None);
    }
}
