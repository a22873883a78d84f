//! What the API objects should say: pure, from what is published, found, connected and proved.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use meshlite_compile::ObjectKey;
use meshlite_kubernetes::{Address, Notice, ServiceState, Subject};
use meshlite_proto::{decode, v1};
use meshlite_snapshot::{Finding, NodeAddressKind, ObjectRef, ResourceType};
use tokio::time::Instant;

use super::{index::Index, members::Members};
use crate::{config::PublishStatus, watch::Facts};

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

/// Whether Events may be written about an object: what others serve is not touched, nor what nobody looks at.
pub(super) fn is_ours(object: &ObjectRef, facts: &Facts) -> bool {
    match &*object.kind {
        "Ingress" => {
            let key = ObjectKey::new(&*object.namespace, &*object.name);
            facts.served_ingresses.contains(&key)
        }
        "IngressClass" => facts.served_classes.contains(&*object.name),
        kind => kind == "Service",
    }
}

/// An object that Events may be written about, as it is there.
pub(super) fn subject(object: &ObjectRef, facts: &Facts) -> Option<Subject> {
    if !is_ours(object, facts) {
        return None;
    }
    let key = ObjectKey::new(&*object.namespace, &*object.name);
    let known = facts.object(&object.kind, &key)?;
    Some(Subject {
        kind: object.kind.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        uid: known.uid.to_string(),
    })
}

/// What makes a notice this one and no other: subject, reason, and field or resource.
type Topic = (Subject, Cow<'static, str>, String);

/// What the owners of objects should read: findings, and what data planes reject. What is said of the same field for the
/// same reason is one notice.
pub(super) fn notices(
    findings: &[Finding],
    index: &Index,
    members: &Members,
    subject: impl Fn(&ObjectRef) -> Option<Subject>,
) -> Vec<Notice> {
    let mut messages: BTreeMap<Topic, BTreeSet<String>> = BTreeMap::new();
    for finding in findings {
        let Some(subject) = subject(&finding.object) else {
            continue;
        };
        let message = if finding.field.is_empty() {
            finding.message.clone()
        } else {
            format!("{}: {}", finding.field, finding.message)
        };
        let topic = (subject, finding.reason.clone(), finding.field.clone());
        messages.entry(topic).or_default().insert(message);
    }
    for ((kind, name), who) in rejected(members) {
        let message = message(kind, name, &who);
        for subject in index.concerned(kind, name).iter().filter_map(&subject) {
            let topic = (subject, "Rejected".into(), format!("{kind} {name}"));
            messages.entry(topic).or_default().insert(message.clone());
        }
    }
    messages
        .into_iter()
        .map(|((subject, reason, about), messages)| Notice {
            subject,
            reason,
            about,
            message: messages.into_iter().collect::<Vec<_>>().join("; "),
        })
        .collect()
}

/// Who rejects a resource, and what the first one says.
#[derive(Default)]
struct Who<'a> {
    /// By what they are.
    nodes: BTreeMap<&'static str, BTreeSet<&'a str>>,
    says: &'a str,
    reason: &'static str,
}

fn rejected(members: &Members) -> BTreeMap<(ResourceType, &str), Who<'_>> {
    let mut rejected: BTreeMap<_, Who<'_>> = BTreeMap::new();
    for member in members.all() {
        for rejection in &member.rejections {
            let topic = rejection.topic.as_ref();
            let Some(topic) = topic.and_then(|topic| decode::topic(topic).ok()) else {
                continue;
            };
            let key = (topic.kind, rejection.name.as_str());
            let who = rejected.entry(key).or_default();
            if who.nodes.is_empty() {
                who.says = &rejection.message;
                who.reason = rejection.reason().as_str_name();
            }
            let plane = match member.role {
                v1::Role::Ingress => "ingress",
                v1::Role::L4Node | v1::Role::Unspecified => "node",
            };
            who.nodes.entry(plane).or_default().insert(&member.node);
        }
    }
    rejected
}

fn message(kind: ResourceType, name: &str, who: &Who<'_>) -> String {
    let planes = who.nodes.iter().filter_map(|(plane, nodes)| {
        let first = nodes.first()?;
        Some(match (nodes.len(), *plane) {
            (1, plane) => format!("{plane} {first}"),
            (count, "ingress") => format!("{count} ingresses, first {first}"),
            (count, plane) => format!("{count} {plane}s, first {first}"),
        })
    });
    let planes = planes.collect::<Vec<_>>().join(" and ");
    let (reason, says) = (who.reason, who.says);
    format!(
        "not taken by {planes}: {} {name} ({reason}: {says}); what was served of it before stays",
        kind.as_str()
    )
}
