//! Kernel modules: which are there, which can be loaded, and what to do about those that cannot.

#[cfg(test)]
mod tests;
mod works;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt, fs, io, iter,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::Scheduler;

/// Where the kernel and the system say what they have.
#[derive(Clone, Debug)]
pub(crate) struct Modules {
    /// The root of the file system.
    root: PathBuf,
    /// The program that loads one.
    modprobe: OsString,
    /// Whether what a module is for works, where that can be told without it.
    works: fn(&str) -> Option<bool>,
}

/// A module, and what became of it.
#[derive(Debug)]
pub(crate) struct Report {
    /// Its name.
    pub(crate) module: String,
    /// What became of it.
    pub(crate) outcome: Outcome,
}

/// What became of a module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was there: loaded, or part of the kernel.
    Present,
    /// It was loaded now.
    Loaded,
    /// The kernel loads no modules, and does not say whether this is part of it: using it shows.
    Unknown,
    /// The kernel loads no modules, and what this is for does not work.
    Lacking,
    /// It is not there, and there is no program here to load it.
    NoProgram,
    /// The program could not load it, in its own words.
    Failed(String),
}

/// The modules that IPVS with a scheduler of each kind takes. The schedulers come before they are needed: that the kernel
/// loads lblc and lblcr by itself can end in a deadlock of all networking while a network namespace goes (seen with 6.1).
pub(crate) fn of_ipvs(schedulers: impl IntoIterator<Item = Scheduler>) -> Vec<String> {
    let schedulers = schedulers
        .into_iter()
        .map(|scheduler| format!("ip_vs_{scheduler}"));
    ["ip_vs", "dummy", "nf_conntrack"]
        .map(str::to_owned)
        .into_iter()
        .chain(schedulers)
        .collect()
}

/// The modules that nftables takes beside those that it loads by itself.
pub(crate) fn of_nftables() -> Vec<String> {
    ["nf_tables", "nf_conntrack", "nf_conntrack_netlink"]
        .map(str::to_owned)
        .into()
}

// === impl Modules ===

impl Modules {
    /// Those of this host.
    pub(crate) fn of_host() -> Self {
        Self {
            root: "/".into(),
            modprobe: "modprobe".into(),
            works: works::works,
        }
    }

    /// Those of a host below a folder, without a program to load any.
    #[cfg(test)]
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            modprobe: root.join("no-modprobe").into(),
            works: |_| None,
        }
    }

    /// Loads those that are not there.
    pub(crate) fn load(&self, modules: &[String]) -> Vec<Report> {
        let present = self.present_of(modules);
        let loads_any = self.root.join("proc/modules").exists();
        let missing = || modules.iter().filter(|module| !present.contains(*module));
        // One program for all takes a fraction of the time. Where it fails, each is loaded by itself, to know which.
        let all_loaded = loads_any
            && missing().nth(1).is_some()
            && self.modprobe(&all_of(missing())) == Outcome::Loaded;
        let load = |module: &String| {
            let works = || (self.works)(module);
            let outcome = if present.contains(module) {
                Outcome::Present
            } else if all_loaded {
                Outcome::Loaded
            } else if loads_any {
                match self.modprobe(&[module]) {
                    // Part of the kernel, where there is no list of such.
                    failed if failed != Outcome::Loaded && works() == Some(true) => {
                        Outcome::Present
                    }
                    outcome => outcome,
                }
            } else {
                match works() {
                    Some(true) => Outcome::Present,
                    Some(false) => Outcome::Lacking,
                    None => Outcome::Unknown,
                }
            };
            Report {
                module: module.clone(),
                outcome,
            }
        };
        modules.iter().map(load).collect()
    }

    /// Those of them that are loaded, or part of the kernel. Most often all have a folder, and no list is to be read.
    fn present_of(&self, modules: &[String]) -> BTreeSet<String> {
        let folders = self.root.join("sys/module");
        if modules.iter().all(|module| folders.join(module).exists()) {
            return modules.iter().cloned().collect();
        }
        self.present()
    }

    /// All that are loaded, or part of the kernel. What cannot be read counts as nothing: loading says more.
    pub(crate) fn present(&self) -> BTreeSet<String> {
        let read = |path: &Path| fs::read_to_string(self.root.join(path)).unwrap_or_default();
        let loaded = read(Path::new("proc/modules"));
        let loaded = loaded.lines().filter_map(|line| line.split(' ').next());
        let release = read(Path::new("proc/sys/kernel/osrelease"));
        let list = Path::new("lib/modules")
            .join(release.trim())
            .join("modules.builtin");
        let builtin = read(&list);
        let builtin = builtin.lines().filter_map(|line| {
            let file = line.rsplit('/').next()?;
            file.strip_suffix(".ko")
        });
        // Files may have hyphens where the kernel has underscores.
        let name = |name: &str| name.replace('-', "_");
        let mut present: BTreeSet<_> = loaded.chain(builtin).map(name).collect();
        // Of those in the kernel itself, the ones with parameters. So some are found where there is no list of files.
        let folders = fs::read_dir(self.root.join("sys/module"))
            .into_iter()
            .flatten();
        present.extend(folders.filter_map(|entry| entry.ok()?.file_name().into_string().ok()));
        present
    }

    fn modprobe(&self, arguments: &[&str]) -> Outcome {
        let output = Command::new(&self.modprobe)
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => Outcome::Loaded,
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Outcome::Failed(said.trim().replace('\n', "; "))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::NoProgram,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }
}

/// What makes `modprobe` load them all.
fn all_of<'a>(modules: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    iter::once("-a")
        .chain(modules.map(String::as_str))
        .collect()
}

// === impl Report ===

impl Report {
    /// Whether it is there now.
    pub(crate) fn is_present(&self) -> bool {
        matches!(self.outcome, Outcome::Present | Outcome::Loaded)
    }

    /// Whether it is there, or only using it shows.
    pub(crate) fn may_be_there(&self) -> bool {
        self.is_present() || self.outcome == Outcome::Unknown
    }
}

// === impl Outcome ===

impl Outcome {
    /// What became of it, behind its name.
    pub(crate) fn found(&self) -> String {
        match self {
            Self::Present => "is there".to_owned(),
            Self::Loaded => "was loaded".to_owned(),
            Self::Unknown => {
                "cannot be loaded, as this kernel loads none: it is part of it, or is missing"
                    .to_owned()
            }
            Self::Lacking => "is not there, and this kernel loads none".to_owned(),
            Self::NoProgram => "is not there, and neither is modprobe".to_owned(),
            Self::Failed(said) => format!("cannot be loaded: {said}"),
        }
    }

    /// What to do for modules to be there; none where they are, or only using them shows.
    pub(crate) fn todo(&self, modules: &str) -> Option<String> {
        let todo = match self {
            Self::Present | Self::Loaded | Self::Unknown => return None,
            Self::Lacking => "build it in, or take another kernel".to_owned(),
            Self::NoProgram => format!(
                "run `modprobe -a {modules}` on the host, or install kmod here and mount the host's /lib/modules"
            ),
            Self::Failed(_) => format!(
                "where this is a container, mount the host's /lib/modules and give it CAP_SYS_MODULE, or run \
                 `modprobe -a {modules}` on the host; else install the kernel's package of further modules"
            ),
        };
        Some(todo)
    }
}

/// As `node init` says it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { module, outcome } = self;
        write!(f, "module {module} {}", outcome.found())?;
        match outcome.todo(module) {
            None => Ok(()),
            Some(todo) => write!(f, ": {todo}"),
        }
    }
}
