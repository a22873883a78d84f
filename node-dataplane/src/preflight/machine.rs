//! Whether the machine itself will do: kernel, permissions, the mode, its modules and settings.

use std::mem::discriminant;

use super::{Finding, Level, facts::Facts};
use crate::{
    Config, Mode,
    host::{
        modules::{self, Outcome},
        sysctl::{self, KernelVersion, Sysctl},
    },
    init,
    mode::Backend,
};

/// The oldest Linux that tests run on.
const TESTED: KernelVersion = KernelVersion(6, 1);
/// `CAP_NET_ADMIN`, by its number.
const NET_ADMIN: u64 = 1 << 12;

pub(super) fn findings(facts: &Facts, config: &Config) -> Vec<Finding> {
    let mut findings = vec![kernel(&facts.kernel)];
    findings.extend(permissions(facts, config.mode));
    findings.push(mode(facts, config.mode));
    findings.extend(modules(&facts.modules, config));
    findings.extend(facts.sysctls.iter().filter_map(|it| setting(it, config)));
    findings
}

fn kernel(version: &Result<KernelVersion, String>) -> Finding {
    match version {
        Err(error) => Finding::unread("kernel", error),
        Ok(version) => {
            let text = format!("Linux {}.{}", version.0, version.1);
            if *version >= TESTED {
                return Finding::ok("kernel", text);
            }
            let KernelVersion(major, minor) = TESTED;
            let todo = format!(
                "take Linux {major}.{minor} or newer, which is tested, where you can; the mode below was tried on this one"
            );
            Finding::warning("kernel", text, todo)
        }
    }
}

/// Without them nothing of the kernel can be seen, and so nobody can know.
fn permissions(facts: &Facts, mode: Mode) -> Option<Finding> {
    if matches!(mode, Mode::Userspace | Mode::Memory) {
        return None;
    }
    let check = "permissions";
    Some(match &facts.capabilities {
        Err(error) => Finding::unread(check, error),
        Ok(mask) if mask & NET_ADMIN != 0 => Finding::ok(check, "CAP_NET_ADMIN is there"),
        Ok(_) => Finding::failure(
            check,
            "CAP_NET_ADMIN is missing here: what the kernel can do and has cannot be seen, and a node like this one \
             could not program it",
            "run this as root, or in a Pod with CAP_NET_ADMIN on the host's network; --mode userspace needs neither",
        ),
    })
}

fn mode(facts: &Facts, asked: Mode) -> Finding {
    match &facts.choice {
        Err(error) => Finding::failure(
            "mode",
            error,
            "see what is missing among the modules below, or take --mode auto",
        ),
        Ok(choice) => {
            let carried = choice.backend.mode();
            let found = format!("{carried} ({})", choice.why);
            if asked == Mode::Auto && choice.backend == Backend::Userspace {
                let todo = "load the modules below, for a kernel that carries the traffic: from user space each \
                            connection goes through this process and endpoints see the node's address";
                return Finding::warning("mode", found, todo);
            }
            Finding::ok("mode", found)
        }
    }
}

/// Modules that are alike are said at once: a kernel without IPVS lacks all of its schedulers too.
fn modules(reports: &[modules::Report], config: &Config) -> Vec<Finding> {
    let is_needed = |it: &modules::Report| {
        config.mode == Mode::Ipvs && init::needs(config, &it.module) && !it.may_be_there()
    };
    let key = |it: &modules::Report| (is_needed(it), discriminant(&it.outcome));
    let mut groups: Vec<Vec<&modules::Report>> = Vec::new();
    for report in reports {
        let is_alike = |group: &&mut Vec<&modules::Report>| {
            group.first().is_some_and(|first| key(first) == key(report))
        };
        match groups.iter_mut().find(is_alike) {
            Some(group) => group.push(report),
            None => groups.push(vec![report]),
        }
    }
    let finding = |group: Vec<&modules::Report>| {
        let names: Vec<_> = group.iter().map(|it| it.module.as_str()).collect();
        let first = group.first()?;
        let outcome = &first.outcome;
        let found = format!("{}: {}", names.join(", "), outcome.found());
        let level = match (is_needed(first), outcome) {
            (true, _) => Level::Failure,
            (false, Outcome::Present | Outcome::Loaded | Outcome::Unknown) => Level::Ok,
            (false, Outcome::Lacking | Outcome::NoProgram | Outcome::Failed(_)) => Level::Warning,
        };
        Some(Finding {
            level,
            todo: outcome.todo(&names.join(" ")),
            ..Finding::ok("modules", found)
        })
    };
    groups.into_iter().filter_map(finding).collect()
}

/// A setting that a node sets at its start is as good as set.
fn setting(report: &sysctl::Report, config: &Config) -> Option<Finding> {
    let Sysctl {
        path,
        wanted,
        why,
        is_needed,
    } = report.sysctl;
    let value = wanted.value();
    let name = path.replace('/', ".");
    let check = format!("sysctl {name}");
    let todo = format!("`sysctl -w {name}={value}`: {why}");
    match &report.outcome {
        sysctl::Outcome::AsWanted | sysctl::Outcome::Set(_) => {
            is_needed.then(|| Finding::ok(check, "as it should be"))
        }
        sysctl::Outcome::Absent => None,
        sysctl::Outcome::Left(found) if config.sysctls => Some(Finding::ok(
            check,
            format!("{found}; it is set to {value} at start: {why}"),
        )),
        sysctl::Outcome::Left(found) => {
            let found = format!("{found}, should be {value}, and --no-sysctls leaves it so");
            Some(if is_needed {
                Finding::failure(check, found, todo)
            } else {
                Finding::warning(check, found, todo)
            })
        }
        sysctl::Outcome::Failed(error) => Some(Finding::unread(check, &error.to_string())),
    }
}
