//! Sets a host up for a mode: what takes privileges once, so that the data plane itself needs fewer.
//!
//! ```text
//! Config ─> modules ─> sysctls ─> Notice for each
//! ```

use std::{collections::BTreeSet, path::Path, thread};

use tracing::warn;

use crate::{
    Config, Mode, Notice, Scheduler,
    config::VipBinding,
    host::{
        modules::{self, Modules},
        sysctl::{self, KernelVersion, ROOT, Sysctl, Wants},
    },
};

/// Loads the modules and sets the sysctls that a configuration takes, and says each. Blocks.
///
/// A module or setting without which the mode cannot work is a failure where the mode was asked for; with
/// [`Mode::Auto`], which takes another then, it is none.
pub fn init(config: &Config) -> Vec<Notice> {
    init_with(config, &Modules::of_host(), Path::new(ROOT))
}

fn init_with(config: &Config, modules: &Modules, root: &Path) -> Vec<Notice> {
    let mode = config.mode;
    let wanted = wanted_modules(mode);
    if wanted.is_empty() {
        return vec![Notice::of(format!(
            "mode {mode} needs nothing to be set up"
        ))];
    }
    let (ipvs, is_asked_for) = (mode != Mode::Nftables, mode == Mode::Ipvs);
    let reports = modules.load(&wanted);
    let has_ipvs = reports
        .iter()
        .any(|report| report.module == "ip_vs" && report.is_present());
    let mut notices: Vec<_> = reports
        .iter()
        .map(|report| {
            let is_needed = is_asked_for && needs(config, &report.module);
            if is_needed && !report.may_be_there() {
                Notice::failure(report)
            } else {
                Notice::of(report)
            }
        })
        .collect();
    let reports = set(config, ipvs && has_ipvs, root);
    notices.extend(reports.iter().map(|report| {
        if config.sysctls && report.sysctl.is_needed && report.is_amiss() {
            Notice::failure(report)
        } else {
            Notice::of(report)
        }
    }));
    notices
}

/// The modules that a mode takes; none where nothing of it is in the kernel.
pub(crate) fn wanted_modules(mode: Mode) -> Vec<String> {
    let mut wanted = match mode {
        Mode::Auto | Mode::Ipvs => modules::of_ipvs(Scheduler::ALL),
        Mode::Nftables => Vec::new(),
        Mode::Userspace | Mode::Memory => return Vec::new(),
    };
    // IPVS has a table of nftables to help it.
    wanted.extend(modules::of_nftables());
    let mut seen = BTreeSet::new();
    wanted.retain(|module| seen.insert(module.clone()));
    wanted
}

/// Whether IPVS cannot do without a module. What the others are for works without them, or they are found in the
/// kernel only once they are used.
pub(crate) fn needs(config: &Config, module: &str) -> bool {
    match module {
        "ip_vs" | "ip_vs_rr" => true,
        "dummy" => config.vip_binding == VipBinding::Address,
        _ => false,
    }
}

/// Sets the sysctls that a data plane takes, or, where they are to be left, says which are not as they should be. What
/// is worth it is in the log. Blocks.
pub(crate) fn sysctls(config: &Config, ipvs: bool) {
    for report in set(config, ipvs, Path::new(ROOT)) {
        report.log();
    }
}

fn set(config: &Config, ipvs: bool, root: &Path) -> Vec<sysctl::Report> {
    let list = wanted_sysctls(config, ipvs);
    if config.sysctls {
        sysctl::set(root, list)
    } else {
        sysctl::check(root, list)
    }
}

/// The settings that a configuration takes on this host.
pub(crate) fn wanted_sysctls(config: &Config, ipvs: bool) -> Vec<Sysctl> {
    let kernel = KernelVersion::of_host().unwrap_or_else(|error| {
        warn!(%error, "The kernel does not say its version: it is taken for a recent one");
        KernelVersion(u32::MAX, 0)
    });
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    sysctl::wanted(&Wants {
        ipvs,
        strict_arp: config.strict_arp,
        conntrack: &config.conntrack,
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        kernel,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is said on a host without any module, program or setting but these settings.
    fn said(mode: Mode, settings: &[&str], change: impl FnOnce(&mut Config)) -> Vec<Notice> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("proc")).unwrap();
        fs::write(folder.path().join("proc/modules"), "").unwrap();
        for path in settings {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "0\n").unwrap();
        }
        let mut config = Config {
            mode,
            ..Config::default()
        };
        change(&mut config);
        init_with(&config, &Modules::below(folder.path()), folder.path())
    }

    fn failures(notices: &[Notice]) -> Vec<&str> {
        let failures = notices.iter().filter(|notice| notice.is_failure);
        failures
            .map(|notice| notice.text.split(' ').nth(1).unwrap_or_default())
            .collect()
    }

    #[test]
    fn what_the_mode_that_was_asked_for_cannot_do_without_is_a_failure() {
        let notices = said(Mode::Ipvs, &[], |_| {});
        assert_eq!(failures(&notices), ["ip_vs", "ip_vs_rr"]);
        let notices = said(Mode::Ipvs, &[], |config| {
            config.vip_binding = VipBinding::Address;
        });
        assert_eq!(failures(&notices), ["ip_vs", "dummy", "ip_vs_rr"]);
        for mode in [Mode::Auto, Mode::Nftables] {
            assert!(failures(&said(mode, &[], |_| {})).is_empty(), "{mode}");
        }
    }

    #[test]
    fn each_thing_is_said() {
        let forward = "net/ipv4/ip_forward";
        let lines = |notices: Vec<Notice>| {
            notices
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        };
        let text = lines(said(Mode::Nftables, &[forward], |_| {}));
        assert!(text.contains("module nf_tables is not there"), "{text}");
        assert!(
            text.contains("sysctl net/ipv4/ip_forward = 1 (was 0): "),
            "{text}"
        );
        assert!(!text.contains("ip_vs"), "{text}");
        let text = lines(said(Mode::Nftables, &[forward], |config| {
            config.sysctls = false;
        }));
        assert!(
            text.contains("is 0, should be 1, and was left so"),
            "{text}"
        );
        let text = lines(said(Mode::Userspace, &[forward], |_| {}));
        assert_eq!(text, "mode userspace needs nothing to be set up");
    }
}
