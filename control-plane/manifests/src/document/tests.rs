//! How files are cut.

use proptest::prelude::*;

use super::*;

fn cut(text: &str) -> Vec<(u32, u32, &str)> {
    documents(text.as_bytes())
        .map(|document| {
            let text = std::str::from_utf8(document.text).unwrap();
            (document.number, document.line, text)
        })
        .collect()
}

#[test]
fn documents_end_at_markers_and_know_their_lines() {
    let text = "# a comment\n---\na: 1\nb: 2\n---\n\n# only a comment\n---\nc: 3\n";
    assert_eq!(cut(text), [(1, 3, "a: 1\nb: 2\n"), (2, 9, "c: 3\n")]);
}

#[test]
fn an_end_marker_ends_a_document_and_what_follows_is_another() {
    assert_eq!(
        cut("a: 1\n...   \n---\nb: 2\n...\nc: 3"),
        [(1, 1, "a: 1\n"), (2, 4, "b: 2\n"), (3, 6, "c: 3")]
    );
}

#[test]
fn an_indented_marker_is_text() {
    assert_eq!(cut("a:\n  ...\n  ---\n").len(), 1);
    assert_eq!(cut("a: 1\n----\nb: 2\n--- #x\nc: 3\n").len(), 2);
}

#[test]
fn windows_line_ends_and_byte_order_marks_are_no_obstacle() {
    assert_eq!(
        cut("\u{feff}a: 1\r\n---\r\n\u{feff}b: 2\r\n"),
        [(1, 1, "a: 1\r\n"), (2, 3, "b: 2\r\n")]
    );
}

#[test]
fn a_document_may_begin_on_the_marker_line() {
    assert_eq!(
        cut("%YAML 1.2\n--- {a: 1}\n--- # comment\nb: 2\n"),
        [(1, 2, "{a: 1}\n"), (2, 4, "b: 2\n")]
    );
}

#[test]
fn json_values_may_follow_each_other() {
    assert_eq!(
        cut("{\"a\": \"}{\\\"\"}\n{\"b\": [1]} {\"c\": {}}\n"),
        [
            (1, 1, "{\"a\": \"}{\\\"\"}\n"),
            (2, 2, "{\"b\": [1]} "),
            (3, 2, "{\"c\": {}}\n")
        ]
    );
}

#[test]
fn nothing_is_no_document() {
    for text in [
        "",
        "\n",
        "---",
        "---\n---\n",
        "# a\n",
        "...\n...\n",
        "  \r\n\t\n",
        "\u{feff}",
    ] {
        assert_eq!(cut(text), [], "{text:?}");
    }
}

proptest! {
    #[test]
    fn documents_are_pieces_of_the_file_in_order(
        lines in prop::collection::vec(
            prop::sample::select(vec!["---", "...", "a: 1", "", "# c", "{", "}", "{\"a\": 1}", "--- b", "  x", "%d"]),
            0..20,
        )
    ) {
        let text = lines.join("\n");
        let mut rest = text.as_str();
        for (index, document) in documents(text.as_bytes()).enumerate() {
            prop_assert_eq!(document.number as usize, index + 1);
            let piece = std::str::from_utf8(document.text).unwrap();
            let at = rest.find(piece).expect("in order");
            rest = rest.get(at + piece.len()..).unwrap();
            let first = piece.lines().next().unwrap();
            let line = text.lines().nth(document.line as usize - 1).unwrap();
            prop_assert!(line.contains(first), "{} has no {}", line, first);
        }
    }
}
