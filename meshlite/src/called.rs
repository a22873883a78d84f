//! Under which name this program was called: its own, or one by which kubectl finds its plugins.

use std::{ffi::OsStr, path::Path};

use clap::CommandFactory as _;

use crate::args::Cli;

/// Who called it, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// Somebody who typed `meshlite`.
    Directly,
    /// kubectl, for who typed `kubectl meshlite`: it runs `kubectl-meshlite`.
    ByKubectl,
    /// kubectl, for a shell that completes such a line: it runs `kubectl_complete-meshlite`.
    ToComplete,
}

impl Called {
    /// What the first argument says, which is the name of the program.
    pub(crate) fn by(program: &OsStr) -> Self {
        let name = Path::new(program).file_name();
        match name.and_then(OsStr::to_str) {
            Some("kubectl-meshlite") => Self::ByKubectl,
            Some("kubectl_complete-meshlite") => Self::ToComplete,
            _ => Self::Directly,
        }
    }

    /// What is typed to call it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Directly => "meshlite",
            Self::ByKubectl | Self::ToComplete => "kubectl meshlite",
        }
    }

    /// Everything that may follow, with usage and examples as they are typed.
    pub(crate) fn command(self) -> clap::Command {
        let mut command = Cli::command();
        if self != Self::Directly {
            command = with_examples(command.bin_name(self.as_str()), self.as_str());
        }
        command
    }
}

/// Calls `meshlite` by another name in the examples of a command and of those below it.
fn with_examples(command: clap::Command, name: &str) -> clap::Command {
    let examples = command.get_after_help().map(ToString::to_string);
    let command = command.mut_subcommands(|below| with_examples(below, name));
    match examples {
        Some(text) => command.after_help(text.replace(" meshlite ", &format!(" {name} "))),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_is_known_by_the_names_of_its_plugins() {
        for (program, called) in [
            ("/usr/local/bin/meshlite", Called::Directly),
            ("./meshlite-0.1", Called::Directly),
            ("", Called::Directly),
            ("/home/me/bin/kubectl-meshlite", Called::ByKubectl),
            ("kubectl_complete-meshlite", Called::ToComplete),
        ] {
            assert_eq!(Called::by(OsStr::new(program)), called, "{program}");
        }
    }

    #[test]
    fn usage_and_examples_of_a_plugin_are_what_its_users_type() {
        let mut command = Called::ByKubectl.command();
        command.build();
        let node = command.find_subcommand_mut("node").expect("a command");
        let node = node.render_long_help().to_string();
        assert!(
            node.contains("Usage: kubectl meshlite node [OPTIONS]"),
            "{node}"
        );
        assert!(node.contains("  kubectl meshlite node init "), "{node}");
        assert!(!node.contains("  meshlite node"), "{node}");
        assert!(node.contains("--state-dir /var/lib/meshlite\n"), "{node}");
    }
}
