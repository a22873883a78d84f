//! What the API objects should say: pure, from what is published, found, connected and proved.

use std::collections::{BTreeMap, BTreeSet};

use meshlite_kubernetes::{Address, Notice, ServiceState, Subject};
use meshlite_proto::{decode, v1};
use meshlite_snapshot::{Finding, NodeAddressKind, ObjectRef};
use tokio::time::Instant;

use super::{index::Index, members::Members};
use crate::config::PublishStatus;

/// The addresses that every served Ingress should have; none where nothing is to be written.
///
/// From a Service: its external IPs, and what its load balancer gave it. A NodePort Service without them is reached at the
/// nodes, so those with an ingress count: by their external addresses, else the internal ones.
pub(super) fn addresses(
    publish: &PublishStatus,
    service: Option<&ServiceState>,
    index: &Index,
    members: &Members,
    now: Instant,
) -> Option<BTreeSet<Address>> {
    match publish {
        PublishStatus::Nothing => None,
        PublishStatus::Addresses(texts) => {
            Some(texts.iter().map(|text| text.as_str().into()).collect())
        }
        PublishStatus::Service(_) => {
            let service = service?;
            if !service.is_on_nodes {
                return Some(service.addresses.clone());
            }
            let nodes: BTreeSet<_> = members
                .of(v1::Role::Ingress, now)
                .map(|member| member.node.as_str())
                .collect();
            let known = nodes.into_iter().filter_map(|name| index.nodes.get(name));
            let found: BTreeSet<_> = known
                .flat_map(|node| {
                    let of = |kind| {
                        let addresses = node.addresses.iter().filter(move |a| a.kind == kind);
                        addresses
                            .map(|a| Address::Ip(a.address))
                            .collect::<Vec<_>>()
                    };
                    let external = of(NodeAddressKind::ExternalIP);
                    if external.is_empty() {
                        of(NodeAddressKind::InternalIP)
                    } else {
                        external
                    }
                })
                .collect();
            // Without an ingress nothing is known: what is there stays.
            (!found.is_empty()).then_some(found)
        }
    }
}

/// What the owners of objects should read: findings, and what data planes reject.
pub(super) fn notices(
    findings: &[Finding],
    index: &Index,
    members: &Members,
    uid: impl Fn(&ObjectRef) -> Option<String>,
) -> Vec<Notice> {
    let subject = |object: &ObjectRef| {
        Some(Subject {
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: uid(object)?,
        })
    };
    let found = findings.iter().filter_map(|finding| {
        let message = if finding.field.is_empty() {
            finding.message.clone()
        } else {
            format!("{}: {}", finding.field, finding.message)
        };
        Some(Notice {
            subject: subject(&finding.object)?,
            reason: finding.reason.clone(),
            about: message.clone(),
            message,
        })
    });
    let rejected = rejected(members)
        .into_iter()
        .flat_map(|((kind, name, version), who)| {
            let objects = index.concerned(kind, name);
            let message = message(kind.as_str(), name, &who);
            let about = format!("{kind} {name} {version}");
            let subjects: Vec<_> = objects.iter().filter_map(subject).collect();
            subjects.into_iter().map(move |subject| Notice {
                subject,
                reason: "Rejected".into(),
                about: about.clone(),
                message: message.clone(),
            })
        });
    let mut notices: Vec<_> = found.chain(rejected).collect();
    notices.sort();
    notices.dedup();
    notices
}

type Rejected<'a> = (meshlite_snapshot::ResourceType, &'a str, &'a str);

/// Who rejects what, and what the first one says.
#[derive(Default)]
struct Who<'a> {
    planes: BTreeSet<(&'static str, &'a str)>,
    says: &'a str,
    reason: &'static str,
}

fn rejected(members: &Members) -> BTreeMap<Rejected<'_>, Who<'_>> {
    let mut rejected: BTreeMap<_, Who<'_>> = BTreeMap::new();
    for member in members.all() {
        for rejection in &member.rejections {
            let topic = rejection.topic.as_ref();
            let Some(topic) = topic.and_then(|topic| decode::topic(topic).ok()) else {
                continue;
            };
            let key = (
                topic.kind,
                rejection.name.as_str(),
                rejection.version.as_str(),
            );
            let who = rejected.entry(key).or_default();
            if who.planes.is_empty() {
                who.says = &rejection.message;
                who.reason = rejection.reason().as_str_name();
            }
            let plane = match member.role {
                v1::Role::Ingress => "ingress",
                v1::Role::L4Node | v1::Role::Unspecified => "node",
            };
            who.planes.insert((plane, &member.node));
        }
    }
    rejected
}

fn message(kind: &str, name: &str, who: &Who<'_>) -> String {
    let first = who
        .planes
        .first()
        .map_or(String::new(), |(plane, node)| format!("{plane} {node}"));
    let others = match who.planes.len().saturating_sub(1) {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    format!(
        "{first}{others} did not take {kind} {name} and serves what it had of it before ({}): {}",
        who.reason, who.says
    )
}
