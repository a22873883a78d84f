//! The folder of manifests that the demo serves: the built-in ones, written out so that they can be edited.

use std::{
    fs, io,
    net::Ipv4Addr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

use super::{certificates::Authority, layout::Layout};
use anyhow::Context;

/// The built-in manifests by file name. Addresses in them are of 127.97.0.0/16.
const MANIFESTS: [(&str, &str); 10] = [
    ("blog.yaml", include_str!("../../demo/blog.yaml")),
    ("cluster.yaml", include_str!("../../demo/cluster.yaml")),
    ("https.yaml", include_str!("../../demo/https.yaml")),
    (
        "multi-port.yaml",
        include_str!("../../demo/multi-port.yaml"),
    ),
    (
        "no-virtual-ip.yaml",
        include_str!("../../demo/no-virtual-ip.yaml"),
    ),
    ("node-port.yaml", include_str!("../../demo/node-port.yaml")),
    ("not-ready.yaml", include_str!("../../demo/not-ready.yaml")),
    (
        "session-affinity.yaml",
        include_str!("../../demo/session-affinity.yaml"),
    ),
    ("shop.yaml", include_str!("../../demo/shop.yaml")),
    ("web.yaml", include_str!("../../demo/web.yaml")),
];

const WITHOUT_SELECTOR: (&str, &str) = (
    "without-selector.yaml",
    include_str!("../../demo/without-selector.yaml"),
);

/// How the built-in manifests write the range of Pods, and the node.
const PODS_AS_WRITTEN: &str = "127.97.";
const NODE_AS_WRITTEN: &str = "127.0.0.1";

/// The hosts that have a certificate: namespace, Secret, host.
pub(crate) const SECURE_HOSTS: [(&str, &str, &str); 2] = [
    ("shop", "secure-tls", "secure.demo.test"),
    ("blog", "private-tls", "private.demo.test"),
];

/// Endpoints that no workload runs: those written by hand, and Pods that have a status. Host part, name.
pub(crate) const OUTSIDERS: [(u8, &str); 3] = [(2, "external-db"), (3, "warm"), (4, "cold")];

/// The port of each of [`OUTSIDERS`].
pub(crate) const OUTSIDER_PORT: u16 = 8080;

/// A temporary folder with manifests and state. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

// === impl Folder ===

impl Folder {
    /// A new, empty folder that only this user can read.
    pub(crate) fn create() -> anyhow::Result<Self> {
        let base = std::env::temp_dir();
        for attempt in 0..1000 {
            let root = base.join(format!("meshlite-demo-{}-{attempt}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&root) {
                Ok(()) => {
                    let folder = Self { root };
                    fs::create_dir(folder.manifests())?;
                    fs::create_dir(folder.state())?;
                    return Ok(folder);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).context(format!("cannot create {}", root.display()));
                }
            }
        }
        anyhow::bail!("{} is full of folders of earlier demos", base.display())
    }

    /// Where the manifests are.
    pub(crate) fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }

    /// Where allocations are kept.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The certificate of the demo's authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.root.join("ca.crt")
    }

    /// Writes the built-in manifests, with addresses as the layout has them, and a Secret for each secure host.
    pub(crate) fn write_built_in(
        &self,
        layout: &Layout,
        authority: &Authority,
    ) -> anyhow::Result<()> {
        let (pods, node) = (prefix(layout.pods.network()), layout.node.to_string());
        fs::write(self.authority(), authority.pem())?;
        for (name, text) in MANIFESTS.into_iter().chain([WITHOUT_SELECTOR]) {
            let text = text
                .replace(PODS_AS_WRITTEN, &pods)
                .replace(NODE_AS_WRITTEN, &node);
            self.write(name, &text)?;
        }
        for (namespace, name, host) in SECURE_HOSTS {
            let (manifest, _certificate) = authority.secret(namespace, name, host)?;
            self.write(&format!("{name}.yaml"), &manifest)?;
        }
        Ok(())
    }

    /// Reads a manifest.
    pub(crate) fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.manifests().join(name))
    }

    /// Writes a manifest: beside it first, then in its place, so that nobody reads half of it.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let target = self.manifests().join(name);
        let draft = self.manifests().join(format!(".{name}"));
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            io::Write::write_all(&mut file, text.as_bytes())?;
            fs::rename(&draft, &target)
        };
        write().with_context(|| format!("cannot write {}", target.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the system's temporary folder.
        drop(fs::remove_dir_all(&self.root));
    }
}

/// The first two bytes of an address, as they are written.
fn prefix(network: Ipv4Addr) -> String {
    let [first, second, ..] = network.octets();
    format!("{first}.{second}.")
}

#[cfg(test)]
mod tests {
    use super::{super::layout::Servers, *};

    #[test]
    fn built_in_manifests_are_written_with_the_range_that_was_claimed() {
        let folder = Folder::create().unwrap();
        let authority = Authority::new().unwrap();
        let layout = Layout::choose(Servers::Apart).unwrap();
        folder.write_built_in(&layout, &authority).unwrap();
        let text = folder.read("without-selector.yaml").unwrap();
        assert!(
            text.contains(&format!("ip: {}2", prefix(layout.pods.network()) + "0.")),
            "{text}"
        );
        assert!(
            folder
                .read("cluster.yaml")
                .unwrap()
                .contains(&layout.node.to_string())
        );
        assert!(
            folder
                .read("secure-tls.yaml")
                .unwrap()
                .contains("BEGIN CERTIFICATE")
        );
    }

    #[test]
    fn the_folder_is_private_and_goes_with_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::create().unwrap();
        let root = folder.root.clone();
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o077, 0);
        drop(folder);
        assert!(!root.exists());
    }
}
