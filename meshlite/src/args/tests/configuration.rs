//! docs/configuration.md: every command, flag, variable and default, as the arguments are defined.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::*;

const OPENING: &str = "\
# Configuration

Everything that can be set, made from the program itself: `meshlite COMMAND --help` says the same. Each flag can be set by the
environment variable beside it; a flag counts more than its variable, and both count more than the default. Lists are separated by
commas. Every mistake is reported at once, and nothing is started then. What a node takes from kube-proxy's configuration is in
[kube-proxy.md](kube-proxy.md), annotations are in [annotations.md](annotations.md), metrics in [metrics.md](metrics.md).

## Exit status

| commands | 0 | 1 | 2 |
|---|---|---|---|
| `control-plane`, `node`, `ingress`, `standalone`, `demo` | stopped by a signal | failed; the last line says why | wrong usage or configuration: nothing was started |
| `demo --check` | every check passed | one failed | wrong usage |
| `status` | all have converged | one has not, or a replica cannot be reached | nobody can be asked; wrong usage |
| `diff` | no difference | a difference | nobody can be asked; wrong usage |
| `migrate` | all is served as before | something is not | nothing can be read; wrong usage |
| `preflight` | a node can serve here, warnings or not | something prevents it | it cannot be looked at; wrong usage |
| `node init`, `node cleanup` | done | something that is needed is missing, or is not removed | wrong usage |
| `get`, `explain`, `node sets`, `version`, `completions`, `man` | printed | it cannot be asked or read, or an object that was named is not there | wrong usage |

`--watch` ends with its signal, or with 0 where nobody reads it any more.

## What is printed

Results go to standard output, logs and errors to standard error. `-o json` and `-o yaml` are for programs: fields are added to them, and
not taken away. Tables have colours on a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`; nothing else but these two and the
variables below is read from the environment (and `POD_NAME`, `POD_NAMESPACE`, `KUBECONFIG`, `HOME` where a flag says so).

## As a plugin of kubectl

On the PATH under the name `kubectl-meshlite` (a link will do), this program is `kubectl meshlite`; a link `kubectl_complete-meshlite`
completes that. `meshlite completions bash` (or another shell) is for itself, and `meshlite man` prints the pages in [man](man).
";

#[test]
fn the_page_of_the_configuration_is_up_to_date() {
    let mut program = Cli::command();
    program.build();
    let mut page = Page {
        text: OPENING.to_owned(),
        groups: BTreeMap::new(),
    };
    page.command(&program, "meshlite");
    meshlite_golden::page("docs/configuration.md", &page.text);
}

/// The page as far as it is written.
struct Page {
    text: String,
    /// Flags that belong together, and the first command that has all of them.
    groups: BTreeMap<String, String>,
}

impl Page {
    /// A command, and all below it.
    fn command(&mut self, command: &Command, name: &str) {
        let about = command.get_long_about().or(command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        write!(
            self.text,
            "\n## `{name}`\n\n{about}\n\n```text\n{usage}\n```\n"
        )
        .unwrap();
        let mut headings: Vec<Option<&str>> = Vec::new();
        let own = |arg: &&Arg| !matches!(arg.get_id().as_str(), "help" | "version");
        // Flags of the program itself stand in front of every command.
        let args: Vec<_> = command
            .get_arguments()
            .filter(own)
            .filter(|arg| !arg.is_global_set() || name == "meshlite")
            .collect();
        for arg in &args {
            if !headings.contains(&arg.get_help_heading()) {
                headings.push(arg.get_help_heading());
            }
        }
        for heading in headings {
            let group = args.iter().filter(|arg| arg.get_help_heading() == heading);
            let rows: String = group.map(|arg| row(arg)).collect();
            self.group(heading, rows, name);
        }
        for below in command.get_subcommands() {
            if below.get_name() != "help" {
                self.command(below, &format!("{name} {}", below.get_name()));
            }
        }
    }

    /// A table of flags, or where it is already.
    fn group(&mut self, heading: Option<&str>, rows: String, name: &str) {
        let title = heading.unwrap_or_default();
        match self.groups.get(&rows) {
            Some(first) if heading.is_some() => {
                let anchor = first.replace(' ', "-");
                writeln!(self.text, "\n{title}: as of [`{first}`](#{anchor}).").unwrap();
            }
            _ => {
                if heading.is_some() {
                    writeln!(self.text, "\n{title}:").unwrap();
                }
                let head = "| flag | variable | default | |\n|---|---|---|---|\n";
                write!(self.text, "\n{head}{rows}").unwrap();
                self.groups.insert(rows, name.to_owned());
            }
        }
    }
}

fn row(arg: &Arg) -> String {
    let value = arg.get_value_names().unwrap_or_default().join(" ");
    let takes_value = arg.get_action().takes_values();
    let flag = match (arg.get_long(), arg.get_short()) {
        (Some(long), Some(short)) => format!("--{long}, -{short}"),
        (Some(long), None) => format!("--{long}"),
        (None, _) => String::new(),
    };
    let flag = if takes_value {
        format!("{flag} {value}")
    } else {
        flag
    };
    let variable = arg
        .get_env()
        .map(|name| format!("`{}`", name.to_string_lossy()));
    let help = arg.get_long_help().or(arg.get_help());
    let help = help
        .map(ToString::to_string)
        .unwrap_or_default()
        .replace('\n', " ");
    let (help, said) = match help.rsplit_once("Default: ") {
        Some((help, said)) => (
            help.trim_end().to_owned(),
            said.trim_end_matches('.').to_owned(),
        ),
        None => (help, String::new()),
    };
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<_> = defaults
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    let default = match arg.get_action() {
        ArgAction::SetTrue => "off".to_owned(),
        _ if defaults.is_empty() => said,
        _ => defaults.join(", "),
    };
    let cells = [
        format!("`{}`", flag.trim()),
        variable.unwrap_or_default(),
        default,
        help,
    ];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}
