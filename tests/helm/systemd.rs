//! The units for hosts without Helm: systemd takes them, and the program knows every variable of their sample settings.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use meshlite_tests::programs::{meshlite, tool};

/// Where the units say that the program is.
const INSTALLED: &str = "/usr/local/bin/meshlite";

/// The files of `deploy/systemd` with this ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    files.sort();
    assert_eq!(files.len(), 3, "{files:?}");
    files
}

#[test]
fn systemd_takes_the_units() {
    let (Some(program), Some(analyze)) = (meshlite(), tool("systemd-analyze")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for unit in files("service") {
        let text = fs::read_to_string(&unit).unwrap();
        let text = text.replace(INSTALLED, program.to_str().unwrap());
        let copy = folder.path().join(unit.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        units.push(copy);
    }
    let verify = ["verify", "--man=no", "--recursive-errors=no"];
    let output = Command::new(analyze).args(verify).args(units).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_program_knows_every_sample_setting() {
    let Some(program) = meshlite() else {
        return;
    };
    for file in files("env") {
        let plane = file.file_stem().unwrap().to_str().unwrap();
        let help = Command::new(&program).args([plane, "--help"]).output();
        let help = String::from_utf8(help.unwrap().stdout).unwrap();
        for line in fs::read_to_string(&file).unwrap().lines() {
            let setting = line.trim_start_matches('#');
            if let Some((name, _)) = setting.split_once('=')
                && name.starts_with("MESHLITE_")
            {
                assert!(help.contains(&format!("[env: {name}]")), "{plane}: {name}");
            }
        }
    }
}

#[test]
fn what_the_sample_settings_name_in_run_and_var_is_made_by_the_units() {
    for file in files("env") {
        let plane = file.file_stem().unwrap().to_str().unwrap();
        let unit = format!("meshlite-{plane}.service");
        let made = fs::read_to_string(file.with_file_name(&unit)).unwrap();
        let credentials = format!("/run/credentials/{unit}/");
        for line in fs::read_to_string(&file).unwrap().lines() {
            let Some((_, path)) = line.trim_start_matches('#').split_once("=/") else {
                continue;
            };
            let path = format!("/{path}");
            let first = |rest: &str| rest.split('/').next().unwrap().to_owned();
            let maker = if let Some(name) = path.strip_prefix(&credentials) {
                format!("\nLoadCredential={name}:")
            } else if let Some(rest) = path.strip_prefix("/run/") {
                format!("\nRuntimeDirectory={}\n", first(rest))
            } else if let Some(rest) = path.strip_prefix("/var/lib/") {
                format!("\nStateDirectory={}\n", first(rest))
            } else {
                assert!(path.starts_with("/etc/meshlite/"), "{path}");
                continue;
            };
            assert!(made.contains(&maker), "{unit} has no {maker} for {path}");
        }
    }
}
