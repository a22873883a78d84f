//! `meshlite man`: manual pages, one for each command, as `man` reads them.

use anyhow::{Context as _, bail};
use clap::Command;
use clap_mangen::Man;

use crate::called::Called;

/// The page of the command of these words; of the program itself where there are none.
pub(crate) fn page(words: &[String]) -> anyhow::Result<String> {
    let mut program = Called::Directly.command();
    program.build();
    let mut command = &program;
    for word in words {
        let Some(below) = command.find_subcommand(word) else {
            let words = words.join(" ");
            bail!("there is no command `{words}`; `meshlite --help` lists them");
        };
        command = below;
    }
    rendered(command)
}

fn rendered(command: &Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    let rendered = Man::new(command.clone()).render(&mut page);
    rendered.context("the page cannot be written")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use meshlite_golden::folder;

    use super::*;

    /// The page of a command, and those of all below it.
    fn collect(command: &Command, pages: &mut BTreeMap<String, String>) {
        if command.get_name() == "help" {
            return;
        }
        let name = command.get_display_name().unwrap_or(command.get_name());
        pages.insert(format!("{name}.1"), rendered(command).expect("a page"));
        for below in command.get_subcommands() {
            collect(below, pages);
        }
    }

    #[test]
    fn the_manual_pages_are_up_to_date() {
        let mut program = Called::Directly.command();
        program.build();
        let mut pages = BTreeMap::new();
        collect(&program, &mut pages);
        folder("docs/man", &pages);
    }

    #[test]
    fn each_command_has_a_page_and_others_have_none() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let init = page(&words("node init")).expect("a page");
        assert!(init.contains(".TH meshlite-node-init 1"), "{init}");
        assert!(init.contains("MESHLITE_HOST_ROOT"), "{init}");
        let error = page(&words("node no-such")).expect_err("no page");
        assert!(error.to_string().contains("meshlite --help"), "{error}");
    }
}
