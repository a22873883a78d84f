//! On which line of a text a field is: the parser keeps values only.

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From 1.
    pub(super) line: u32,
    /// Its value is a block of text that begins on the next line.
    pub(super) is_block: bool,
}

/// The line of a field that is there, by its path. Where it cannot be seen, that of the nearest field around it.
pub(super) fn line_of(text: &str, path: &[&str]) -> Place {
    let mut place = Place {
        line: 1,
        is_block: false,
    };
    let mut within = None;
    let mut lines = text.lines().zip(1..).filter(|(line, _)| has_content(line));
    for key in path {
        // The first line of a mapping says how far its keys are indented.
        let mut own: Option<usize> = None;
        let found = lines.find_map(|(line, number)| {
            let (indent, rest) = indented(line);
            if within.is_some_and(|outer| indent <= outer) {
                return Some(None);
            }
            let own = *own.get_or_insert(indent);
            let value = value_of(rest, key).filter(|_| indent == own)?;
            Some(Some((indent, number, value.starts_with(['|', '>']))))
        });
        let Some(Some((indent, line, is_block))) = found else {
            break;
        };
        within = Some(indent);
        place = Place { line, is_block };
    }
    place
}

/// Whether a line is `27   key: value` as an editor shows it.
pub(super) fn is_numbered(line: &str) -> bool {
    let line = line.trim_start();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < line.len() && rest.starts_with([' ', '\t']) && rest.contains(':')
}

/// What stands after `key:`.
fn value_of<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let line = line.trim_start_matches(['"', '\'']);
    let rest = line.strip_prefix(key)?.trim_start_matches(['"', '\'']);
    rest.trim_start().strip_prefix(':').map(str::trim_start)
}

fn indented(line: &str) -> (usize, &str) {
    let rest = line.trim_start_matches(' ');
    (line.len() - rest.len(), rest)
}

fn has_content(line: &str) -> bool {
    let line = line.trim();
    !line.starts_with('#') && !line.starts_with("---") && !matches!(line, "" | "{")
}
