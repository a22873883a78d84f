//! What may be typed next: for shells that complete `meshlite`, and for kubectl, which completes `kubectl meshlite`.
//!
//! ```text
//! meshlite completions SHELL ───────────> a script of clap's, which knows all words
//! kubectl_complete-meshlite WORD... ────> words that may be in place of the last, then `:` and what a shell may add
//! ```

use std::fmt::Write as _;

use clap::{Arg, Command};
use clap_complete::Shell;

use crate::called::Called;

/// Nothing but these words, as cobra's `ShellCompDirectiveNoFileComp`.
const THESE: u8 = 4;
/// Files too, as cobra's `ShellCompDirectiveDefault`.
const FILES: u8 = 0;

/// The script for a shell.
pub(crate) fn script(shell: Shell, called: Called) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut called.command(), "meshlite", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// What kubectl is answered for these words, of which the last may be half of one.
pub(crate) fn answer(words: &[String]) -> String {
    let mut command = Called::ToComplete.command();
    command.build();
    let (typed, before) = words
        .split_last()
        .map_or(("", words), |(last, before)| (last.as_str(), before));
    let (candidates, directive) = candidates(&command, before, typed);
    let mut answer = String::new();
    for (word, about) in candidates {
        // Writing to a String cannot fail.
        let _infallible = writeln!(answer, "{word}\t{about}");
    }
    let _infallible = writeln!(answer, ":{directive}");
    answer
}

/// Words that begin as it was typed, each with a line about it, and whether files may stand there.
fn candidates(
    mut command: &Command,
    before: &[String],
    typed: &str,
) -> (Vec<(String, String)>, u8) {
    for word in before {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let flag = before.last().and_then(|word| word.strip_prefix("--"));
    let flag = flag.and_then(|name| {
        command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(name))
    });
    let mut words = Vec::new();
    let mut directive = THESE;
    if let Some(flag) = flag.filter(|flag| flag.get_action().takes_values()) {
        (words, directive) = values(flag);
    } else if typed.starts_with('-') {
        let flags = command.get_arguments().filter(|arg| !arg.is_hide_set());
        words.extend(flags.filter_map(|arg| Some((format!("--{}", arg.get_long()?), about(arg)))));
    } else {
        let below = command
            .get_subcommands()
            .filter(|below| !below.is_hide_set());
        words.extend(below.map(|below| {
            let about = below.get_about().map(ToString::to_string);
            (below.get_name().to_owned(), about.unwrap_or_default())
        }));
        for positional in command.get_positionals() {
            let (values, allows) = values(positional);
            words.extend(values);
            directive = allows;
        }
    }
    words.retain(|(word, _)| word.starts_with(typed));
    (words, directive)
}

/// What an argument may be, and whether files may stand there: not where there is a list.
fn values(arg: &Arg) -> (Vec<(String, String)>, u8) {
    let values = arg.get_possible_values().into_iter();
    let values: Vec<_> = values
        .map(|value| (value.get_name().to_owned(), about(arg)))
        .collect();
    let directive = if values.is_empty() { FILES } else { THESE };
    (values, directive)
}

fn about(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    help.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn words(line: &[&str]) -> Vec<String> {
        let line: Vec<_> = line.iter().map(|&word| word.to_owned()).collect();
        let answer = answer(&line);
        let lines = answer
            .lines()
            .map(|line| line.split('\t').next().unwrap_or(line));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn a_plugins_words_are_completed_as_far_as_they_are_typed() {
        assert_eq!(words(&["st"]), ["standalone", "status", ":4"]);
        assert_eq!(words(&["get", "s"]), ["snapshot", "services", ":4"]);
        assert_eq!(
            words(&["node", "init", "--ipvs-s"]),
            ["--ipvs-scheduler", "--ipvs-strict-arp", ":4"]
        );
        assert_eq!(words(&["completions", "z"]), ["zsh", ":4"]);
        assert_eq!(words(&["migrate", ""]), [":0"], "a file");
        assert_eq!(words(&["status", "--ca-file", ""]), [":0"], "a file");
        assert_eq!(words(&["no-such-thing", "--no-such-flag"]), [":4"]);
        assert!(words(&[]).contains(&"preflight".to_owned()));
    }

    #[test]
    fn every_shell_has_a_script_with_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell, Called::Directly);
            for command in ["preflight", "status", "completions"] {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }
}
