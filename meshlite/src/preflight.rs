//! `meshlite preflight`: whether a node can serve on this host, and what to do about what is in the way.

use std::fmt::Write as _;

use meshlite_node::preflight::{Finding, Level, Report, preflight};

use crate::{
    config::{NodeConfig, PreflightConfig},
    output::{self, columns},
    run::{enter, say},
};

/// Prints what was found; gives whether a node can serve.
pub(crate) fn run(config: PreflightConfig) -> anyhow::Result<bool> {
    let PreflightConfig {
        node: NodeConfig { node, remarks },
        host_root,
        node_ports,
        format,
    } = config;
    say(&remarks);
    if let Some(root) = host_root {
        enter(&root)?;
    }
    let report = preflight(&node, &node_ports);
    output::value(format, &report, || print(&report))?;
    Ok(report.ready)
}

/// Everything that was looked at, then what to do, then the verdict.
fn print(report: &Report) -> String {
    let found = |it: &Finding| [it.level.to_string(), it.check.clone(), it.found.clone()];
    let rows: Vec<_> = report.findings.iter().map(found).collect();
    let mut text = columns(["RESULT", "CHECK", "FOUND"], &rows);
    let todo = |it: &Finding| Some([it.level.to_string(), it.check.clone(), it.todo.clone()?]);
    let rows: Vec<_> = report.findings.iter().filter_map(todo).collect();
    if !rows.is_empty() {
        text += "\n";
        text += &columns(["RESULT", "CHECK", "WHAT TO DO"], &rows);
    }
    let count = |level| {
        report
            .findings
            .iter()
            .filter(|it| it.level == level)
            .count()
    };
    // Writing to a String cannot fail.
    let _infallible = write!(
        text,
        "\n{}, mode {}: {} failures, {} warnings",
        if report.ready { "ready" } else { "not ready" },
        report.mode.as_deref().unwrap_or("<none>"),
        count(Level::Failure),
        count(Level::Warning),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_below_what_was_found_and_the_verdict_is_last() {
        let finding = |level, check: &str, found: &str, todo: Option<&str>| Finding {
            level,
            check: check.to_owned(),
            found: found.to_owned(),
            todo: todo.map(str::to_owned),
        };
        let report = Report {
            ready: false,
            mode: Some("nftables".to_owned()),
            findings: vec![
                finding(Level::Ok, "kernel", "Linux 6.12", None),
                finding(Level::Failure, "port 10249/TCP", "nginx", Some("stop it")),
            ],
        };
        assert_eq!(
            print(&report),
            "\
RESULT   CHECK           FOUND
ok       kernel          Linux 6.12
failure  port 10249/TCP  nginx

RESULT   CHECK           WHAT TO DO
failure  port 10249/TCP  stop it

not ready, mode nftables: 1 failures, 0 warnings"
        );
    }
}
