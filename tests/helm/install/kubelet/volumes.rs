//! The volumes of a Pod, as folders.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use meshlite_tests::apiserver::{ApiServer, BoundTo, TokenRequest, eventually};
use nix::unistd::{Uid, chown};
use serde_json::Value;

use super::{NAMESPACE, Pod};

/// Where a volume's files are.
pub(super) enum Volume {
    /// In this folder.
    Folder(PathBuf),
    /// In memory, from when a container has it.
    Memory,
}

/// Makes the folders of all volumes of a Pod.
pub(super) async fn make(api: &ApiServer, pod: &Pod<'_>) -> BTreeMap<String, Volume> {
    let mut made = BTreeMap::new();
    let volumes = pod.object["spec"]["volumes"].as_array().cloned();
    for volume in volumes.unwrap_or_default() {
        let name = volume["name"].as_str().unwrap();
        let folder = pod.folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let volume = if let Some(host) = volume["hostPath"]["path"].as_str() {
            Volume::Folder(host_path(pod, host))
        } else if let Some(map) = volume["configMap"]["name"].as_str() {
            write_map(api, map, &folder).await;
            Volume::Folder(folder)
        } else if volume["emptyDir"]["medium"] == "Memory" {
            Volume::Memory
        } else if volume["emptyDir"].is_object() {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
            Volume::Folder(folder)
        } else {
            for source in volume["projected"]["sources"].as_array().unwrap() {
                write_projected(api, pod, source, &folder).await;
            }
            Volume::Folder(folder)
        };
        made.insert(name.to_owned(), volume);
    }
    made
}

/// The root is this machine's; what a node keeps is a folder of its own.
fn host_path(pod: &Pod<'_>, path: &str) -> PathBuf {
    if path == "/" {
        return path.into();
    }
    let folder = pod.host.join(path.trim_start_matches('/'));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Waits for a ConfigMap, as a kubelet does, and writes its files.
async fn write_map(api: &ApiServer, name: &str, folder: &Path) {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{name}");
    let what = format!("there is a ConfigMap {name}");
    let map = eventually(&what, async || api.get(&path).await).await;
    for (file, text) in map["data"].as_object().unwrap() {
        fs::write(folder.join(file), text.as_str().unwrap()).unwrap();
    }
}

async fn write_projected(api: &ApiServer, pod: &Pod<'_>, source: &Value, folder: &Path) {
    if let Some(map) = source["configMap"]["name"].as_str() {
        write_map(api, map, folder).await;
    } else if source["serviceAccountToken"].is_object() {
        let token = &source["serviceAccountToken"];
        let asked = api.token(TokenRequest {
            namespace: NAMESPACE,
            service_account: pod.object["spec"]["serviceAccountName"].as_str().unwrap(),
            audience: token["audience"].as_str().unwrap_or_default(),
            lifetime: Duration::from_secs(token["expirationSeconds"].as_u64().unwrap()),
            bound_to: Some(BoundTo::Pod(&pod.name)),
        });
        let file = folder.join(token["path"].as_str().unwrap());
        fs::write(&file, asked.await.unwrap()).unwrap();
        // A kubelet gives it to the user that all containers have, and to nobody else.
        let user = &pod.object["spec"]["containers"][0]["securityContext"]["runAsUser"];
        let user = u32::try_from(user.as_u64().unwrap()).unwrap();
        chown(&file, Some(Uid::from_raw(user)), None).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    } else {
        fs::write(folder.join("namespace"), NAMESPACE).unwrap();
    }
}
