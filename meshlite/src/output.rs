//! Standard output: tables for people, in colour on a terminal; YAML or JSON for tools.

mod paint;

use std::{
    env,
    io::{self, IsTerminal as _, Write},
};

use serde::Serialize;

/// How a command prints its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    /// Text with more columns.
    Wide,
    Yaml,
    Json,
}

impl Format {
    /// `yaml` or `json`.
    pub(crate) fn structured(name: &str) -> Option<Self> {
        match name {
            "yaml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Clears a terminal, what was scrolled out of it too, and begins at its top.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// Prints text and ends the line. A reader that has gone (`meshlite … | head`) is no error.
pub(crate) fn line(text: &str) -> io::Result<()> {
    match write(&[text, "\n"]) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a value in the format, or `text` where text is wanted.
pub(crate) fn value<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    line(&rendered(format, value, text)?)?;
    Ok(())
}

/// A value in the format, or `text` where text is wanted, without the end of its last line.
pub(crate) fn rendered<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<String> {
    let rendered = match format {
        Format::Text | Format::Wide if is_colourful() => paint::paint(&text()),
        Format::Text | Format::Wide => text(),
        Format::Yaml => yaml_serde::to_string(value)?,
        Format::Json => serde_json::to_string_pretty(value)?,
    };
    Ok(rendered.trim_end().to_owned())
}

/// Prints what is to be seen now: in place of what a terminal shows, else below what was printed.
pub(crate) fn again(format: Format, text: &str, is_first: bool) -> io::Result<()> {
    let is_terminal = io::stdout().is_terminal();
    let before = match format {
        Format::Text | Format::Wide if is_terminal => CLEAR,
        Format::Text | Format::Wide if !is_first => "\n",
        Format::Yaml => "---\n",
        _ => "",
    };
    write(&[before, text, "\n"])
}

fn write(parts: &[&str]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for part in parts {
        out.write_all(part.as_bytes())?;
    }
    out.flush()
}

/// Whether standard output is a terminal on which colours are wanted (<https://no-color.org>).
fn is_colourful() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// Rows in columns as wide as their widest cell, two spaces apart, as kubectl prints them.
pub(crate) fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    first_columns(N, head, rows)
}

/// As [`columns`], without those from `narrow` on, unless the format is wide.
pub(crate) fn columns_for<const N: usize>(
    format: Format,
    narrow: usize,
    head: [&str; N],
    rows: &[[String; N]],
) -> String {
    let count = if format == Format::Wide { N } else { narrow };
    first_columns(count, head, rows)
}

/// The line below a list that was cut; empty where all is shown.
pub(crate) fn cut(shown: usize, of: u64) -> String {
    if shown as u64 >= of {
        return String::new();
    }
    format!("… {shown} of {of}\n")
}

fn first_columns<const N: usize>(count: usize, head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut push = |cells: &[&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths).take(count) {
            // Some come from data planes: they must not write to the terminal what is not text.
            line.extend(cell.chars().map(|c| if c.is_control() { ' ' } else { c }));
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    push(&head);
    for row in rows {
        push(&row.each_ref().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_trailing_space() {
        let rows = [
            ["web".to_owned(), "ClusterIP".to_owned()],
            ["déjà-vu".to_owned(), String::new()],
        ];
        assert_eq!(
            columns(["NAME", "TYPE"], &rows),
            "NAME     TYPE\nweb      ClusterIP\ndéjà-vu\n"
        );
    }

    #[test]
    fn a_list_that_was_cut_says_of_how_many() {
        assert_eq!(cut(2, 3), "… 2 of 3\n");
        assert_eq!(cut(3, 3), "");
    }

    #[test]
    fn wide_has_more_columns_and_no_cell_has_control_characters() {
        let rows = [["a\u{1b}[2J".to_owned(), "b".to_owned()]];
        let narrow = columns_for(Format::Text, 1, ["ONE", "TWO"], &rows);
        assert_eq!(narrow, "ONE\na [2J\n");
        let wide = columns_for(Format::Wide, 1, ["ONE", "TWO"], &rows);
        assert_eq!(wide, "ONE    TWO\na [2J  b\n");
    }
}
