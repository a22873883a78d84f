//! Modules of a host of the test's own making.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A host with `ip_vs` loaded, `ip_vs_rr` in the kernel, and a program that can load only `ip_vs_wrr`.
fn host() -> (tempfile::TempDir, Modules) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "proc/modules",
        "ip_vs 180224 2 ip_vs_wrr, Live 0x0\nnf_conntrack 1 1 - Live 0x0\n",
    );
    write("proc/sys/kernel/osrelease", "6.1.0-56-amd64\n");
    write(
        "lib/modules/6.1.0-56-amd64/modules.builtin",
        "kernel/net/netfilter/ipvs/ip_vs_rr.ko\nkernel/crypto/crc32c-generic.ko\n",
    );
    write("sys/module/dummy/uevent", "");
    write(
        "modprobe",
        "#!/bin/sh\n[ \"$1\" = ip_vs_wrr ] && exit 0\necho \"modprobe: FATAL: Module $1 not found.\" >&2\nexit 1\n",
    );
    let program = root.join("modprobe");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let modules = Modules {
        root: root.to_owned(),
        modprobe: program.into(),
        works: |module| matches!(module, "nf_tables" | "ip_vs_sh").then_some(true),
    };
    (folder, modules)
}

#[test]
fn what_is_there_is_not_loaded_and_what_cannot_be_loaded_is_said() {
    let (_folder, modules) = host();
    let wanted = of_ipvs([Scheduler::Rr, Scheduler::Wrr, Scheduler::Mh]);
    assert_eq!(
        wanted,
        [
            "ip_vs",
            "dummy",
            "nf_conntrack",
            "ip_vs_rr",
            "ip_vs_wrr",
            "ip_vs_mh"
        ]
    );
    let reports = modules.load(&wanted);
    let outcomes: Vec<_> = reports.iter().map(|report| &report.outcome).collect();
    let failed = Outcome::Failed("modprobe: FATAL: Module ip_vs_mh not found.".to_owned());
    let present = &Outcome::Present;
    assert_eq!(
        outcomes,
        [
            present,
            present,
            present,
            present,
            &Outcome::Loaded,
            &failed
        ]
    );
    assert!(!reports[5].is_present());
    let said = reports[5].to_string();
    assert!(
        said.contains("run `modprobe -a ip_vs_mh` on the host"),
        "{said}"
    );
}

#[test]
fn without_the_program_it_is_said_what_to_do() {
    let (folder, mut modules) = host();
    modules.modprobe = folder.path().join("no-such-program").into();
    let [report] = &modules.load(&["ip_vs_sed".to_owned()])[..] else {
        panic!("one module was asked for")
    };
    assert_eq!(report.outcome, Outcome::NoProgram);
    assert!(report.to_string().contains("install kmod"), "{report}");
}

#[test]
fn what_works_is_part_of_the_kernel_though_nobody_lists_it() {
    let (folder, modules) = host();
    let outcome = |modules: &Modules, name: &str| {
        let report = modules.load(&[name.to_owned()]).pop().unwrap();
        (report.may_be_there(), report.outcome)
    };
    assert_eq!(outcome(&modules, "nf_tables"), (true, Outcome::Present));
    // A scheduler that a virtual server can have needs no module.
    assert_eq!(outcome(&modules, "ip_vs_sh"), (true, Outcome::Present));
    // A kernel that loads none at all.
    fs::remove_file(folder.path().join("proc/modules")).unwrap();
    assert_eq!(outcome(&modules, "nf_tables"), (true, Outcome::Present));
    assert_eq!(outcome(&modules, "ip_vs_mh"), (true, Outcome::Unknown));
    let modules = Modules {
        works: |_| Some(false),
        ..modules
    };
    assert_eq!(outcome(&modules, "ip_vs_mh"), (false, Outcome::Lacking));
}

#[test]
fn a_module_with_a_folder_is_there_whatever_the_lists_say() {
    let (folder, modules) = host();
    fs::create_dir(folder.path().join("sys/module/ip_vs_mh")).unwrap();
    for wanted in [
        &["dummy", "ip_vs_mh"][..],
        &["dummy", "ip_vs_mh", "ip_vs_rr"],
    ] {
        let wanted: Vec<_> = wanted.iter().copied().map(str::to_owned).collect();
        let reports = modules.load(&wanted);
        let mut outcomes = reports.iter().map(|report| &report.outcome);
        assert!(outcomes.all(|outcome| *outcome == Outcome::Present));
    }
}

#[test]
fn a_hyphen_in_a_files_name_is_an_underscore_in_the_modules() {
    let (_folder, modules) = host();
    assert!(modules.present().contains("crc32c_generic"));
}

#[test]
fn several_that_are_missing_are_loaded_by_one_run_of_the_program() {
    let (folder, modules) = host();
    let runs = folder.path().join("runs");
    let script = format!("#!/bin/sh\necho \"$*\" >>{}\n", runs.display());
    fs::write(&modules.modprobe, script).unwrap();
    let reports = modules.load(&of_ipvs([Scheduler::Rr, Scheduler::Wrr, Scheduler::Mh]));
    assert!(reports.iter().all(Report::is_present));
    assert_eq!(fs::read_to_string(runs).unwrap(), "-a ip_vs_wrr ip_vs_mh\n");
}
