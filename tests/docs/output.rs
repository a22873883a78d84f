//! Whether what was printed is what a page shows.
//!
//! Lines must be equal but for what changes from run to run: amounts of white space, digests (16 or 32 hexadecimal digits),
//! ages (`1.2s`), and what the page leaves out with `…`, part of a line or, alone on its own, any number of lines.

use libtest_mimic::Failed;

/// Says where the first difference is.
pub(crate) fn compare(shown: &str, printed: &str) -> Result<(), String> {
    let shown: Vec<_> = shown.lines().map(plain).collect();
    let printed: Vec<_> = printed.lines().map(plain).collect();
    let mut at = 0;
    let mut may_skip = false;
    for line in shown.iter().filter(|line| !line.is_empty()) {
        if line == "…" {
            may_skip = true;
            continue;
        }
        let rest = printed.iter().skip(at).filter(|line| !line.is_empty());
        let reach = if may_skip { usize::MAX } else { 1 };
        if !rest.take(reach).any(|printed| fits(line, printed)) {
            return Err(format!("nothing printed there is like the line `{line}`"));
        }
        let found = printed.iter().skip(at).position(|p| fits(line, p));
        at += found.map_or(0, |found| found + 1);
        may_skip = false;
    }
    let left = printed.iter().skip(at).find(|line| !line.is_empty());
    match left {
        Some(line) if !may_skip => Err(format!("the page does not show the line `{line}`")),
        _ => Ok(()),
    }
}

/// A line with what changes made equal.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        if is_digest(core) {
            word.replace(core, "DIGEST")
        } else if is_age(core) {
            word.replace(core, "AGE")
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_digest(word: &str) -> bool {
    matches!(word.len(), 16 | 32) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_age(word: &str) -> bool {
    let units = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    units.len() < word.len() && ["ns", "µs", "ms", "s", "m", "h", "d"].contains(&units)
}

/// Whether a printed line is as it is shown, where `…` stands for any text.
fn fits(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    true
}

/// The comparison itself is tested, for all others lean on it.
pub(crate) fn check() -> Result<(), Failed> {
    let printed = "NAME  AGE    DIGEST\nweb   199ms  8f40dbf1c9625bc3b783d621e9a9e882\n\nend\n";
    let same = [
        "NAME AGE DIGEST\nweb 3s 00000000000000000000000000000000\nend",
        "…\nend",
        "NAME …\n…",
        "NAME  AGE  DIGEST\nw… 1.5s …\nend",
    ];
    for shown in same {
        compare(shown, printed)?;
    }
    let others = [
        "",
        "NAME …",
        "end",
        "…\nweb",
        "NAME AGE DIGEST\nend\n…",
        "…\nweb soon …\n…",
    ];
    for shown in others {
        if compare(shown, printed).is_ok() {
            return Err(format!("`{shown}` passes for `{printed}`").into());
        }
    }
    Ok(())
}
