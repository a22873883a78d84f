//! `meshlite migrate`: what becomes of Ingresses that were made for ingress-nginx.

mod quirks;
mod review;
#[cfg(test)]
mod tests;

use std::{io::Read, path::Path, sync::Arc};

use anyhow::{Context, bail};
use k8s_openapi::api::networking::v1::Ingress;
use meshlite_manifests::{Object, parse};
use meshlite_snapshot::Severity;

use crate::{
    config::{MigrateConfig, MigrateSource},
    output,
    progress::Progress,
};

/// Prints what becomes of each annotation; gives whether all stays as it is.
pub(crate) async fn run(config: MigrateConfig) -> anyhow::Result<bool> {
    let MigrateConfig {
        source,
        nginx_compat,
        format,
    } = config;
    let ingresses = match source {
        MigrateSource::Files(files) => {
            let mut all = Vec::new();
            for file in files {
                all.extend(read(&file)?);
            }
            all
        }
        MigrateSource::Cluster(connection) => {
            let client = connection.client().await?;
            let progress = Progress::of_many("reading Ingresses", None);
            let all = meshlite_kubernetes::ingresses(client, |read, total| {
                progress.expect(total);
                progress.reached(read);
            });
            let all = all.await;
            all.context("cannot list the Ingresses of the cluster")?
        }
    };
    if ingresses.is_empty() {
        bail!(
            "there is no Ingress in it; `kubectl get ingress -A -o yaml | meshlite migrate -` reads those of a cluster"
        );
    }
    let report = review::review(&ingresses, nginx_compat);
    output::value(format, &report, || report.print())?;
    Ok(report.is_same())
}

/// The Ingresses of one file; of standard input for `-`.
fn read(path: &Path) -> anyhow::Result<Vec<Arc<Ingress>>> {
    let name = path.display().to_string();
    let text = if name == "-" {
        let mut text = Vec::new();
        std::io::stdin().lock().read_to_end(&mut text)?;
        text
    } else {
        std::fs::read(path).with_context(|| format!("cannot read {name}"))?
    };
    ingresses(&name, &text)
}

/// The Ingresses of a text. What is no good Ingress is an error: it would be left out of what is said.
fn ingresses(name: &str, text: &[u8]) -> anyhow::Result<Vec<Arc<Ingress>>> {
    let file = parse(name, text);
    let is_bad = |severity, kind: &str| {
        severity == Severity::Error && (kind == "Ingress" || kind.is_empty())
    };
    let bad: Vec<_> = file
        .findings
        .iter()
        .filter(|finding| is_bad(finding.severity, &finding.object.kind))
        .map(ToString::to_string)
        .collect();
    if !bad.is_empty() {
        bail!("{}", bad.join("\n"));
    }
    let objects = file.objects.into_iter();
    let ingress = objects.filter_map(|located| match located.object {
        Object::Ingress(ingress) => Some(ingress),
        _ => None,
    });
    Ok(ingress.collect())
}
