//! How far sources were read, and whether a commit is a step back in time.

use meshlite_snapshot::{ResourceType, Scope, Topic};

use crate::v1::Watermark;

/// A source of which a commit knows less than what is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StepBack {
    pub(super) source: String,
    pub(super) installed: u64,
    pub(super) offered: u64,
}

/// Whether what is offered for one of these topics was compiled from older objects than what is installed.
///
/// Only the sources of a topic count for it, and only where none of them is newer: replicas do not learn at the same
/// time how far a quiet source is, but what changed is at least as new as its change.
pub(super) fn step_back(
    topics: impl IntoIterator<Item = Topic>,
    installed: &[Watermark],
    offered: &[Watermark],
) -> Option<StepBack> {
    topics.into_iter().find_map(|topic| {
        let sources = sources_of(topic).iter().filter_map(|source| {
            let find = |all: &[Watermark]| all.iter().find(|w| w.resource == *source).cloned();
            let (installed, offered) = (find(installed)?, find(offered)?);
            let (installed, offered) = comparable(&installed, &offered)?;
            Some((*source, installed, offered))
        });
        let sources: Vec<_> = sources.collect();
        if sources
            .iter()
            .any(|(_, installed, offered)| offered > installed)
        {
            return None;
        }
        let older = sources
            .iter()
            .find(|(_, installed, offered)| offered < installed);
        older.map(|(source, installed, offered)| StepBack {
            source: (*source).to_owned(),
            installed: *installed,
            offered: *offered,
        })
    })
}

/// How far the sources were read once a commit is installed. What was seen stays seen, also where another replica has
/// not seen it yet.
pub(super) fn newest(installed: &[Watermark], offered: Vec<Watermark>) -> Vec<Watermark> {
    if offered.is_empty() {
        return installed.to_vec();
    }
    let newer = |offered: Watermark| {
        let before = installed.iter().find(|w| w.resource == offered.resource);
        match before {
            Some(before) if comparable(before, &offered).is_some_and(|(b, o)| b > o) => {
                before.clone()
            }
            _ => offered,
        }
    };
    offered.into_iter().map(newer).collect()
}

/// Both versions, if the same source counted them.
fn comparable(one: &Watermark, other: &Watermark) -> Option<(u64, u64)> {
    if one.origin.is_empty() || one.origin != other.origin {
        return None;
    }
    let version = |watermark: &Watermark| watermark.resource_version.parse().ok();
    Some((version(one)?, version(other)?))
}

/// What a topic is compiled from, as watermarks call it.
fn sources_of(topic: Topic) -> &'static [&'static str] {
    match (topic.kind, topic.scope) {
        (ResourceType::Namespace, _) => &["namespaces"],
        (ResourceType::Node, _) => &["nodes"],
        (ResourceType::Service, _) => &["services"],
        (ResourceType::EndpointGroup, Scope::All) => &["endpointslices"],
        (ResourceType::Weights, _) => &[],
        (
            ResourceType::EndpointGroup
            | ResourceType::TlsSecret
            | ResourceType::Credential
            | ResourceType::Cluster
            | ResourceType::RouteTable
            | ResourceType::Listener,
            _,
        ) => &[
            "ingresses",
            "ingressclasses",
            "secrets",
            "services",
            "endpointslices",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk(resource: &str, version: &str, origin: &str) -> Watermark {
        Watermark {
            resource: resource.into(),
            resource_version: version.into(),
            staleness: None,
            origin: origin.into(),
        }
    }

    const SERVICES: Topic = Topic::all(ResourceType::Service);

    #[test]
    fn versions_are_compared_as_numbers_of_one_origin() {
        let installed = [mk("services", "100", "cluster")];
        for (offered, is_back) in [
            (mk("services", "99", "cluster"), true),
            (mk("services", "100", "cluster"), false),
            (mk("services", "1000", "cluster"), false),
            (mk("services", "99", "another"), false),
            (mk("services", "x", "cluster"), false),
            (mk("nodes", "99", "cluster"), false),
        ] {
            let back = step_back([SERVICES], &installed, std::slice::from_ref(&offered));
            assert_eq!(back.is_some(), is_back, "{offered:?}");
        }
        let nameless = [mk("services", "100", "")];
        let older = [mk("services", "99", "")];
        assert_eq!(step_back([SERVICES], &nameless, &older), None);
    }

    #[test]
    fn a_quiet_source_of_another_topic_is_no_step_back() {
        let installed = [mk("services", "100", "c"), mk("endpointslices", "200", "c")];
        let offered = [mk("services", "201", "c"), mk("endpointslices", "150", "c")];
        assert_eq!(step_back([SERVICES], &installed, &offered), None);
        assert_eq!(step_back([Topic::INGRESS[0]], &installed, &offered), None);
        let groups = Topic::all(ResourceType::EndpointGroup);
        assert!(step_back([groups], &installed, &offered).is_some());
    }

    #[test]
    fn what_was_seen_stays_seen() {
        let installed = [mk("services", "100", "c"), mk("nodes", "5", "c")];
        let offered = vec![mk("services", "99", "c"), mk("nodes", "6", "c")];
        let expected = vec![mk("services", "100", "c"), mk("nodes", "6", "c")];
        assert_eq!(newest(&installed, offered), expected);
        assert_eq!(newest(&installed, vec![]), installed);
        let elsewhere = vec![mk("services", "1", "d")];
        assert_eq!(newest(&installed, elsewhere.clone()), elsewhere);
    }
}
