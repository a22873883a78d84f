//! A list that is cut at its dashes holds what the parser says.

use proptest::{prelude::*, sample::Index};

use crate::{ManifestFile, Object, parse};

const LIST: &str = "\
apiVersion: v1
items:
- apiVersion: v1
  kind: Service
  metadata:
    name: a
  spec:
    selector: {app: a}
    ports:
    - name: a
      port: 80
    - name: b
      port: 81
# a comment
- apiVersion: v1
  kind: Secret
  metadata: {name: b}
  stringData:
    text: |
      - a
      items:

      - b
    more: \"a
      b\"

-   apiVersion: v1
    kind: Namespace
    metadata:
      name: c
kind: List
metadata:
  resourceVersion: \"\"
";

const PIECES: &[&str] = &[
    "\n",
    "\n",
    " ",
    "  ",
    "\n ",
    "\n  ",
    "\n    ",
    "- ",
    "-",
    "\n- ",
    "\n- a",
    "\n  - ",
    "#",
    " # ",
    "\"",
    "'",
    ":",
    ": ",
    "|",
    ">",
    "{",
    "}",
    "[",
    "]",
    "a",
    "a: b",
    "\na: b\n",
    "\nprose\n",
    "\nitems:\n",
    "items",
    "\n]\n",
    "\n\n",
    "\t",
    "\r",
    "&a ",
    "*a",
    "?",
];

/// The list with a few pieces put in or taken out.
fn broken() -> impl Strategy<Value = String> {
    let edit = (
        any::<Index>(),
        0_usize..12,
        prop::option::of(prop::sample::select(PIECES)),
    );
    prop::collection::vec(edit, 1..4).prop_map(|edits| {
        let mut text = LIST.to_owned();
        for (at, cut, piece) in edits {
            let at = at.index(text.len());
            let cut = if piece.is_some() { cut / 4 } else { cut };
            text.replace_range(at..(at + cut).min(text.len()), piece.unwrap_or_default());
        }
        text
    })
}

fn objects(file: ManifestFile) -> Vec<Object> {
    file.objects
        .into_iter()
        .map(|located| located.object)
        .collect()
}

#[test]
fn the_list_of_these_tests_is_read() {
    let file = parse("f", LIST.as_bytes());
    assert_eq!(file.findings, []);
    assert_eq!(file.objects.len(), 3);
}

proptest! {
    #[test]
    fn a_list_without_findings_holds_what_the_parser_says(text in broken()) {
        let file = parse("f", text.as_bytes());
        if file.findings.is_empty() && file.skipped.is_empty() && !file.objects.is_empty() {
            let value: serde_json::Value = yaml_serde::from_str(&text).unwrap();
            let whole = parse("f", value.to_string().as_bytes());
            prop_assert_eq!(objects(file), objects(whole));
        }
    }
}
