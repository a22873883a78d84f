//! A snapshot compiled here from manifests, without a server.

use meshlite_compile::{Compiled, Settings};
use meshlite_control_plane::{OneShot, SourceConfig, SourceError, compile_once};
use meshlite_proto::{encode, installed::Item};
use meshlite_snapshot::{ResourceType, SetDigest, Version};

use super::view::{TopicDigest, View};

/// Compiles the manifests as a control plane would.
pub(super) fn compile(source: &SourceConfig, settings: &Settings) -> Result<View, SourceError> {
    let OneShot {
        compiled,
        findings,
        skipped,
    } = compile_once(source, settings)?;
    let Compiled {
        snapshot,
        ingress_endpoint_groups: _,
        findings: _,
    } = compiled;
    let mut resources = Vec::new();
    let mut digests = Vec::new();
    for kind in ResourceType::ALL {
        let mut digest = SetDigest::default();
        let mut count = 0;
        for (name, body) in snapshot.of_type(kind) {
            let version = Version::of(&encode::body(&body));
            digest.add(name, version);
            count += 1;
            resources.push(Item {
                kind,
                name: name.clone(),
                version: Some(version),
                body,
            });
        }
        if count > 0 {
            digests.push(TopicDigest {
                topic: kind.to_string(),
                count,
                digest: digest.to_string(),
            });
        }
    }
    Ok(View {
        build: None,
        epoch: None,
        generation: None,
        digests,
        resources,
        findings_total: findings.len() as u64,
        findings,
        skipped: Some(skipped),
        snapshot,
    })
}
