//! "Programmed on n of N data planes": an annotation of an Ingress, a condition of a Service.

use std::{collections::BTreeSet, fmt};

use k8s_openapi::{
    api::core::v1::Service, apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp,
};
use serde_json::{Value, json};

use crate::{ingress_status::Address, status_api::StatusObject};

/// The annotation of an Ingress.
pub(crate) const ANNOTATION: &str = "meshlite.io/programmed";
/// The condition of a Service.
const CONDITION: &str = "meshlite.io/Programmed";
/// What stands around the numbers in its message.
const MESSAGE: (&str, &str) = ("programmed on ", " connected nodes");

/// How many data planes have proved that they serve an object as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programmed {
    /// Those that have.
    pub done: usize,
    /// Those that should.
    pub of: usize,
}

impl Programmed {
    /// What this text, which is like `2 of 3`, says.
    pub fn read(text: &str) -> Option<Self> {
        let (done, of) = text.split_once(" of ")?;
        Some(Self {
            done: done.parse().ok()?,
            of: of.parse().ok()?,
        })
    }
}

impl fmt::Display for Programmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.done, self.of)
    }
}

/// What a Service says that only the leader writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceState {
    /// `metadata.resourceVersion`
    pub version: String,
    /// Our condition.
    pub condition: Option<Condition>,
    /// Where it is reached, as far as it says so itself.
    pub addresses: BTreeSet<Address>,
    /// It says nothing of addresses: it is reached at those of the nodes.
    pub is_on_nodes: bool,
}

impl StatusObject for Service {
    type State = ServiceState;

    fn state(&self) -> ServiceState {
        let status = self.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref());
        let mut conditions = conditions.into_iter().flatten();
        ServiceState {
            version: self.metadata.resource_version.clone().unwrap_or_default(),
            condition: conditions.find(|c| c.type_ == CONDITION).cloned(),
            addresses: addresses(self),
            is_on_nodes: self.spec.as_ref().is_some_and(|spec| {
                spec.type_.as_deref() == Some("NodePort")
                    && spec.external_ips.as_deref().is_none_or(<[_]>::is_empty)
            }),
        }
    }
}

/// Where whoever made a Service means it to be reached from outside: its external IPs and what its load balancer gave it.
/// One without either is reached by its cluster IP, and an `ExternalName` under that name, as ingress-nginx has it.
fn addresses(service: &Service) -> BTreeSet<Address> {
    let Some(spec) = &service.spec else {
        return BTreeSet::new();
    };
    let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
    if kind == "ExternalName" {
        let name = spec.external_name.as_deref();
        return name.into_iter().map(Address::from).collect();
    }
    let external = spec.external_ips.iter().flatten();
    let mut addresses: BTreeSet<_> = external.map(|ip| ip.as_str().into()).collect();
    if kind == "LoadBalancer" {
        let status = service.status.as_ref();
        let given = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_deref());
        let texts = given
            .into_iter()
            .flatten()
            .filter_map(|given| given.ip.as_deref().or(given.hostname.as_deref()));
        addresses.extend(texts.map(Address::from));
    } else if kind == "ClusterIP" && addresses.is_empty() {
        let cluster = spec.cluster_ip.as_deref().filter(|ip| *ip != "None");
        addresses.extend(cluster.map(Address::from));
    }
    addresses
}

impl ServiceState {
    /// Whether it already says so.
    pub fn says(&self, programmed: Programmed) -> bool {
        let condition = self.condition.as_ref();
        condition.is_some_and(|condition| {
            let (status, reason) = meaning(programmed);
            condition.status == status
                && condition.reason == reason
                && condition.message == message(programmed)
        })
    }

    /// What it says of how far it is programmed.
    pub fn programmed(&self) -> Option<Programmed> {
        let message = &self.condition.as_ref()?.message;
        let numbers = message.strip_prefix(MESSAGE.0)?.strip_suffix(MESSAGE.1)?;
        Programmed::read(numbers)
    }

    /// The patch that makes it say so. Other conditions stay: the list is merged by type.
    pub fn patch(&self, programmed: Programmed, wall: Timestamp) -> Value {
        let (status, reason) = meaning(programmed);
        let before = self
            .condition
            .as_ref()
            .filter(|before| before.status == status);
        let since = before.map_or(wall, |before| before.last_transition_time.0);
        let since = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!({
            "metadata": {"resourceVersion": self.version},
            "status": {"conditions": [{
                "type": CONDITION,
                "status": status,
                "reason": reason,
                "message": message(programmed),
                "lastTransitionTime": since,
            }]},
        })
    }
}

fn meaning(Programmed { done, of }: Programmed) -> (&'static str, &'static str) {
    match (done, of) {
        (_, 0) => ("Unknown", "NoNodes"),
        (done, of) if done >= of => ("True", "AllNodes"),
        (0, _) => ("False", "NotProgrammed"),
        _ => ("False", "SomeNodes"),
    }
}

fn message(programmed: Programmed) -> String {
    let (before, after) = MESSAGE;
    format!("{before}{programmed}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(before: &ServiceState, programmed: Programmed, second: i64) -> ServiceState {
        let wall = Timestamp::from_second(second).unwrap();
        let patch = before.patch(programmed, wall);
        let service: Service = serde_json::from_value(patch).unwrap();
        service.state()
    }

    #[test]
    fn what_was_written_is_not_written_again() {
        let before = ServiceState {
            version: "3".into(),
            ..ServiceState::default()
        };
        for (done, of) in [(0, 0), (0, 2), (1, 2), (2, 2)] {
            let programmed = Programmed { done, of };
            assert!(!before.says(programmed));
            let after = written(&before, programmed, 5);
            assert!(after.says(programmed));
            assert_eq!(after.programmed(), Some(programmed));
        }
    }

    #[test]
    fn a_service_is_reached_where_its_owner_means_it_to_be() {
        let addresses = |service: Value| {
            let service: Service = serde_json::from_value(service).unwrap();
            let state = service.state();
            let addresses: Vec<_> = state.addresses.iter().map(ToString::to_string).collect();
            (addresses.join(" "), state.is_on_nodes)
        };
        let balancer = json!({
            "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "externalIPs": ["192.0.2.1"]},
            "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}, {"ip": "192.0.2.2"}]}},
        });
        assert_eq!(
            addresses(balancer),
            ("192.0.2.1 192.0.2.2 lb.example.com".into(), false)
        );
        let pending = json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}});
        assert_eq!(addresses(pending), (String::new(), false));
        let nodes = json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1"}});
        assert_eq!(addresses(nodes), (String::new(), true));
        let inside = json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1"}});
        assert_eq!(addresses(inside), ("10.0.0.1".into(), false));
    }

    #[test]
    fn the_time_of_transition_moves_only_with_the_status() {
        let none = ServiceState::default();
        let time = |state: &ServiceState| {
            let condition = state.condition.as_ref().unwrap();
            condition.last_transition_time.0.as_second()
        };
        let some = written(&none, Programmed { done: 1, of: 3 }, 100);
        let more = written(&some, Programmed { done: 2, of: 3 }, 200);
        let all = written(&more, Programmed { done: 3, of: 3 }, 300);
        assert_eq!((time(&some), time(&more), time(&all)), (100, 100, 300));
    }
}
