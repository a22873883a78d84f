//! Finds the `KubeProxyConfiguration` in what was given: alone, among the documents of a kubeadm.yaml, or in a ConfigMap.

use yaml_serde::{Mapping, Value};

use super::{Mistake, place};

/// The group and version that is read.
pub(super) const API_VERSION: &str = "kubeproxy.config.k8s.io/v1alpha1";

pub(super) const KIND: &str = "KubeProxyConfiguration";

/// The key under which kubeadm keeps it in the ConfigMap `kube-proxy`.
const CONFIG_MAP_KEY: &str = "config.conf";

/// More than an API server would keep in a ConfigMap.
const MAX_SIZE: usize = 1024 * 1024;

/// The parser takes a time that grows with the square of this.
const MAX_FLOW_DEPTH: usize = 100;

/// A `KubeProxyConfiguration`, and where it was.
#[derive(Debug)]
pub(super) struct Document {
    /// The line of the input at which `text` begins, from 1.
    pub(super) line: u32,
    pub(super) text: String,
    pub(super) fields: Mapping,
}

/// The only `KubeProxyConfiguration` in a file.
pub(super) fn find(input: &[u8]) -> Result<Document, Mistake> {
    if input.len() > MAX_SIZE {
        return Err(Mistake::at(
            1,
            "",
            format!("is larger than {MAX_SIZE} bytes"),
        ));
    }
    let text = std::str::from_utf8(input).map_err(|error| {
        let good = input.get(..error.valid_up_to()).unwrap_or_default();
        let lines = good.split(|byte| *byte == b'\n').count();
        let line = u32::try_from(lines).unwrap_or(u32::MAX);
        Mistake::at(line, "", "is not UTF-8 text")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut found, mut kinds) = (None, Vec::new());
    for (line, piece) in pieces(text) {
        let value = parse(line, piece)?;
        let Value::Mapping(fields) = value else {
            continue;
        };
        let document = Document {
            line,
            text: piece.to_owned(),
            fields,
        };
        let kind = text_of(&document.fields, "kind").unwrap_or("an object without a kind");
        let document = match kind {
            KIND => document,
            "ConfigMap" => {
                let Some(document) = in_config_map(&document)? else {
                    kinds.push(format!("a ConfigMap without {CONFIG_MAP_KEY}"));
                    continue;
                };
                document
            }
            other => {
                kinds.push(other.to_owned());
                continue;
            }
        };
        check_version(&document)?;
        if let Some(Document { line, .. }) = &found {
            let what = format!("there is another {KIND} at line {line}; leave one of them");
            return Err(Mistake::at(document.line, "", what));
        }
        found = Some(document);
    }
    found.ok_or_else(|| missing(text, &kinds))
}

/// Texts between lines that begin with `---` or `...`, each with the line of the input at which it begins.
fn pieces(text: &str) -> Vec<(u32, &str)> {
    let mut pieces = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let (mut at, mut line) = (0, 1);
    for this in text.split_inclusive('\n') {
        let end = at + this.len();
        let (begins, ends) = (is_marker(this, "---"), is_marker(this, "..."));
        if begins || ends {
            pieces.push((start_line, text.get(start..at).unwrap_or_default()));
            (start, start_line) = if begins { (at, line) } else { (end, line + 1) };
        }
        at = end;
        line += 1;
    }
    pieces.push((start_line, text.get(start..).unwrap_or_default()));
    pieces
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

fn parse(line: u32, piece: &str) -> Result<Value, Mistake> {
    if flow_depth(piece) > MAX_FLOW_DEPTH {
        let what = format!("has more than {MAX_FLOW_DEPTH} brackets within each other");
        return Err(Mistake::at(line, "", what));
    }
    yaml_serde::from_str(piece).map_err(|error| {
        let within = error.location().map_or(1, |location| location.line());
        let line = line.saturating_add(u32::try_from(within.saturating_sub(1)).unwrap_or(u32::MAX));
        let numbered = piece
            .lines()
            .filter(|line| place::is_numbered(line))
            .count();
        let advice = if numbered > 1 {
            "; remove the line numbers of the editor"
        } else {
            ""
        };
        Mistake::at(line, "", format!("is not YAML: {error}{advice}"))
    })
}

/// How many brackets are open at once, at most.
fn flow_depth(piece: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in piece.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

fn in_config_map(map: &Document) -> Result<Option<Document>, Mistake> {
    let data = map.fields.get("data").and_then(Value::as_mapping);
    let Some(text) = data.and_then(|data| text_of(data, CONFIG_MAP_KEY)) else {
        return Ok(None);
    };
    let key = place::line_of(&map.text, &["data", CONFIG_MAP_KEY]);
    let line = map.line + key.line - 1 + u32::from(key.is_block);
    match parse(line, text)? {
        Value::Mapping(fields) if text_of(&fields, "kind") == Some(KIND) => Ok(Some(Document {
            line,
            text: text.to_owned(),
            fields,
        })),
        _ => Err(Mistake::at(
            line,
            CONFIG_MAP_KEY,
            format!("holds no {KIND}"),
        )),
    }
}

fn check_version(document: &Document) -> Result<(), Mistake> {
    match text_of(&document.fields, "apiVersion") {
        Some(API_VERSION) => Ok(()),
        other => {
            let at = place::line_of(&document.text, &["apiVersion"]).line;
            let what = match other {
                Some(version) => format!("`{version}` is not known; write {API_VERSION}"),
                None => format!("is not set; write {API_VERSION}"),
            };
            let line = document.line + at - 1;
            Err(Mistake::at(line, "apiVersion", what))
        }
    }
}

fn missing(text: &str, kinds: &[String]) -> Mistake {
    let advice = "give the file, the kubeadm.yaml that contains one, or the kube-proxy ConfigMap";
    let what = if text.lines().any(place::is_numbered) {
        format!("there is no {KIND}; remove the line numbers of the editor, and {advice}")
    } else if kinds.is_empty() {
        format!("there is no {KIND}; {advice}")
    } else {
        let kinds = kinds.join(", ");
        format!("there is no {KIND}, but {kinds}; {advice}")
    };
    Mistake::at(1, "", what)
}

fn text_of<'m>(fields: &'m Mapping, key: &str) -> Option<&'m str> {
    fields.get(key).and_then(Value::as_str)
}
