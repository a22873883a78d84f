//! The arguments as a whole: names, variables, help.

mod configuration;

use clap::CommandFactory;

use super::*;

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

/// Every flag of every command, with its environment variable.
fn flags(command: &clap::Command) -> Vec<(String, Option<String>)> {
    let own = command.get_arguments().filter_map(|arg| {
        let variable = arg
            .get_env()
            .map(|name| name.to_string_lossy().into_owned());
        Some((arg.get_long()?.to_owned(), variable))
    });
    own.chain(command.get_subcommands().flat_map(flags))
        .collect()
}

#[test]
fn every_flag_has_an_environment_variable_of_its_name() {
    let mut command = Cli::command();
    command.build();
    let flags = flags(&command);
    assert!(flags.len() > 40, "{flags:?}");
    for (flag, variable) in flags {
        if matches!(flag.as_str(), "help" | "version") {
            continue;
        }
        let name = flag.to_uppercase().replace('-', "_");
        // OpenTelemetry names its own.
        let is_standard = name.starts_with("OTEL_");
        let expected = if is_standard {
            name
        } else {
            format!("MESHLITE_{name}")
        };
        assert_eq!(variable, Some(expected), "--{flag}");
    }
}

#[test]
fn every_command_says_what_it_is_for_and_shows_how() {
    let mut command = Cli::command();
    command.build();
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        assert!(sub.get_about().is_some(), "{}", sub.get_name());
        assert!(
            sub.get_name() == "get" || sub.get_after_help().is_some(),
            "{}",
            sub.get_name()
        );
    }
}

/// The help of every command: it is what users read, so a change of it is seen.
#[test]
fn help_is_as_reviewed() {
    let mut command = Cli::command();
    command.build();
    let mut texts = vec![command.render_long_help().to_string()];
    let mut rest: Vec<_> = command.get_subcommands().cloned().collect();
    while let Some(mut sub) = rest.pop() {
        if sub.get_name() == "help" {
            continue;
        }
        rest.extend(sub.get_subcommands().cloned());
        texts.push(sub.render_long_help().to_string());
    }
    insta::assert_snapshot!(texts.join("\n================================\n\n"));
}
