//! Colours for people: heads of tables, and words that say whether all is well. Pure.

const END: &str = "\u{1b}[0m";
const HEAD: &str = "\u{1b}[1m";
const GOOD: &str = "\u{1b}[32m";
const DOUBTFUL: &str = "\u{1b}[33m";
const BAD: &str = "\u{1b}[31m";

/// Cells and beginnings of lines that have a colour, whatever table they are in.
const WORDS: [(&str, &str); 16] = [
    ("ok", GOOD),
    ("yes", GOOD),
    ("same", GOOD),
    ("ready", GOOD),
    ("converged", GOOD),
    ("warning", DOUBTFUL),
    ("differs", DOUBTFUL),
    ("draining", DOUBTFUL),
    ("no", BAD),
    ("not ready", BAD),
    ("not converged", BAD),
    ("failure", BAD),
    ("error", BAD),
    ("unsupported", BAD),
    ("invalid", BAD),
    ("removed", DOUBTFUL),
];

/// The same text, with colours.
pub(super) fn paint(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(line).collect();
    lines.join("\n")
}

fn line(line: &str) -> String {
    if is_head(line) {
        return [HEAD, line, END].concat();
    }
    let mut painted = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        // Cells are at least two spaces apart.
        let cell = rest
            .find("  ")
            .map_or(rest, |end| rest.get(..end).unwrap_or(rest));
        let after = rest.get(cell.len()..).unwrap_or_default();
        let next = after.trim_start_matches(' ');
        painted.push_str(&word(cell));
        painted.push_str(after.get(..after.len() - next.len()).unwrap_or_default());
        rest = next;
    }
    painted
}

/// Columns and sections are named in capitals.
fn is_head(line: &str) -> bool {
    let mut letters = 0;
    line.chars().all(|c| {
        letters += usize::from(c.is_ascii_uppercase());
        c.is_ascii_uppercase() || " -()".contains(c)
    }) && letters > 2
}

/// A cell, with the word in colour that it is, or that it begins with before a comma or colon.
fn word(cell: &str) -> String {
    let end = cell.find([',', ':']).unwrap_or(cell.len());
    let (first, rest) = cell.split_at_checked(end).unwrap_or((cell, ""));
    match WORDS.iter().find(|(word, _)| *word == first) {
        Some((_, colour)) => [colour, first, END, rest].concat(),
        None => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colours as letters.
    fn painted(text: &str) -> String {
        let letters = [
            (HEAD, "<h>"),
            (GOOD, "<g>"),
            (DOUBTFUL, "<d>"),
            (BAD, "<b>"),
        ];
        let painted = paint(text).replace(END, "</>");
        letters
            .into_iter()
            .fold(painted, |text, (code, letter)| text.replace(code, letter))
    }

    #[test]
    fn heads_and_verdicts_have_colours_and_all_else_has_none() {
        let table = "\
RESULT   CHECK    PORT(S)
ok       kernel   Linux 6.12, no module
failure  ok-ish   no
warning  modules  ok: fine

not ready, mode ipvs";
        let expected = "\
<h>RESULT   CHECK    PORT(S)</>
<g>ok</>       kernel   Linux 6.12, no module
<b>failure</>  ok-ish   <b>no</>
<d>warning</>  modules  <g>ok</>: fine

<b>not ready</>, mode ipvs";
        assert_eq!(painted(table), expected);
    }

    #[test]
    fn nothing_but_colours_is_added() {
        for text in ["", "a  b", "  é  no  ", "SERVICES\n<none>", "error:  no,  "] {
            let plain = painted(text);
            let plain = ["<h>", "<g>", "<d>", "<b>", "</>"]
                .into_iter()
                .fold(plain, |text, code| text.replace(code, ""));
            assert_eq!(plain, text);
        }
    }
}
