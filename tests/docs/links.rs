//! Links between files of the tree: each leads to a file that is there, and to a heading that is in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use libtest_mimic::Failed;

use crate::root;

/// Checks all links of all pages.
pub(crate) fn check(pages: &[PathBuf]) -> Result<(), Failed> {
    let mut dead = Vec::new();
    for page in pages {
        let text = fs::read_to_string(root().join(page))?;
        for link in links(&text).filter(|link| !link.contains("://")) {
            if !leads_somewhere(page, &text, link) {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    if dead.is_empty() {
        return Ok(());
    }
    Err(format!("these links lead nowhere:\n{}", dead.join("\n")).into())
}

/// What stands between `](` and `)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("](").skip(1);
    after.filter_map(|rest| Some(rest.split_once(')')?.0))
}

fn leads_somewhere(page: &Path, text: &str, link: &str) -> bool {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = root().join(page).parent().map(|folder| folder.join(file));
    let Some(target) = target.filter(|target| target.exists()) else {
        return false;
    };
    let there = || fs::read_to_string(&target).unwrap_or_default();
    let text = if file.is_empty() {
        text.to_owned()
    } else {
        there()
    };
    heading.is_empty() || headings(&text).any(|found| found == heading)
}

/// Headings as links name them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}
