//! A container as a command: a root that holds the program and the mounts, and the user and rights that are asked for.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde_json::Value;

use super::{NAMESPACE, Pod, volumes::Volume};

/// What of this machine a program with shared libraries needs; the image's has none.
const LIBRARIES: [&str; 4] = ["usr", "lib", "lib64", "dev"];

/// The command that becomes the container's program, in a mount namespace of its own.
pub(super) fn command(
    program: &Path,
    pod: &Pod<'_>,
    container: &Value,
    volumes: &BTreeMap<String, Volume>,
) -> Vec<String> {
    let name = container["name"].as_str().unwrap();
    let root = pod.folder.join(format!("{name}.root"));
    std::fs::create_dir_all(&root).unwrap();
    let root = root.display();
    let is_privileged = container["securityContext"]["privileged"] == true;
    let mut script = format!("set -eu\nmount -t tmpfs tmpfs {root}\n");
    for folder in LIBRARIES {
        writeln!(
            script,
            "[ ! -e /{folder} ] || {{ mkdir {root}/{folder}; mount --rbind /{folder} {root}/{folder}; }}"
        )
        .unwrap();
    }
    let access = if is_privileged { "rw" } else { "ro" };
    let program = program.display();
    writeln!(
        script,
        "mkdir {root}/proc {root}/sys\n\
         mount --bind /proc {root}/proc\n\
         mount --bind /proc/sys {root}/proc/sys\n\
         mount -o remount,bind,{access} {root}/proc/sys\n\
         mount -t sysfs -o {access} sysfs {root}/sys\n\
         touch {root}/meshlite\n\
         mount --bind {program} {root}/meshlite"
    )
    .unwrap();
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        script.push_str(&mounted(&root.to_string(), mount, volumes));
    }
    writeln!(script, "mount -o remount,bind,ro {root}").unwrap();
    let words = [
        env(pod, container),
        vec!["chroot".to_owned(), root.to_string()],
        user(container),
        vec!["/meshlite".to_owned()],
        arguments(container),
    ];
    let words: Vec<_> = words.concat().iter().map(|word| quoted(word)).collect();
    writeln!(script, "exec {}", words.join(" ")).unwrap();
    ["unshare", "--mount", "sh", "-c", &script]
        .map(str::to_owned)
        .into()
}

fn mounted(root: &str, mount: &Value, volumes: &BTreeMap<String, Volume>) -> String {
    let path = mount["mountPath"].as_str().unwrap();
    let at = format!("{root}{path}");
    match &volumes[mount["name"].as_str().unwrap()] {
        Volume::Memory => format!("mkdir -p {at}\nmount -t tmpfs -o mode=0777 tmpfs {at}\n"),
        Volume::Folder(folder) => {
            let folder = folder.display();
            let mut lines = format!("mkdir -p {at}\nmount --rbind {folder} {at}\n");
            if mount["readOnly"] == true {
                writeln!(lines, "mount -o remount,bind,ro {at}").unwrap();
            }
            lines
        }
    }
}

/// The variables that the Pod says, and those that every container gets: of a VIP that nobody serves yet.
fn env(pod: &Pod<'_>, container: &Value) -> Vec<String> {
    let mut words = vec!["env".to_owned(), "-i".to_owned()];
    words.push("KUBERNETES_SERVICE_HOST=10.96.0.1".to_owned());
    words.push("KUBERNETES_SERVICE_PORT=443".to_owned());
    words.push("PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    for variable in container["env"].as_array().into_iter().flatten() {
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("metadata.name") => &pod.name,
            Some("metadata.namespace") => NAMESPACE,
            Some("spec.nodeName") => pod.node.name(),
            other => panic!("{other:?} is not known here"),
        };
        words.push(format!("{}={value}", variable["name"].as_str().unwrap()));
    }
    words
}

/// Becomes the user, and keeps the capabilities that are asked for and no other.
fn user(container: &Value) -> Vec<String> {
    let context = &container["securityContext"];
    let id = |field: &str| context[field].as_u64().unwrap_or(0);
    let mut words = vec![
        "setpriv".to_owned(),
        format!("--reuid={}", id("runAsUser")),
        format!("--regid={}", id("runAsGroup")),
        "--clear-groups".to_owned(),
        // What becomes another user would outlive this process else.
        "--pdeathsig=KILL".to_owned(),
    ];
    if context["allowPrivilegeEscalation"] == false {
        words.push("--no-new-privs".to_owned());
    }
    if context["privileged"] != true {
        assert_eq!(context["capabilities"]["drop"][0], "ALL");
        let added = context["capabilities"]["add"].as_array().cloned();
        let mut bounding = "--bounding-set=-all".to_owned();
        for capability in added.unwrap_or_default() {
            let capability = capability.as_str().unwrap().to_lowercase();
            write!(bounding, ",+{capability}").unwrap();
        }
        words.extend(["--inh-caps=-all".to_owned(), bounding]);
    }
    words
}

fn arguments(container: &Value) -> Vec<String> {
    let arguments = container["args"].as_array().unwrap().iter();
    arguments
        .map(|argument| argument.as_str().unwrap().to_owned())
        .collect()
}

/// For a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
