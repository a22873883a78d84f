//! A Lease as the election sees it, and what it carries besides.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Map, Value, json};

/// The shortest and the longest lease that is believed: the object may say anything.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);

/// What a Lease says, and at which version of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// Empty: nobody.
    pub(super) holder: String,
    /// How long the others wait after they last saw a change.
    pub(super) duration: Duration,
    /// When the holder became it, and when it last said so: for people to read, never compared.
    pub(super) acquired: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    /// How often the holder changed.
    pub(super) transitions: i32,
    /// Empty for a Lease that is to be created.
    pub(super) version: String,
    /// The whole object as it was read: labels, annotations, owners and fields that a newer API server knows stay.
    pub(super) object: Option<Arc<DynamicObject>>,
}

/// How Leases are addressed: as what they are, not as what this program knows of them.
pub(super) fn resource() -> ApiResource {
    ApiResource::erase::<Lease>(&())
}

impl Record {
    pub(super) fn read(object: DynamicObject) -> Self {
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        let spec: LeaseSpec = serde_json::from_value(spec).unwrap_or_default();
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        let duration = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: duration.clamp(SHORTEST, LONGEST),
            acquired: spec.acquire_time.map(|time| time.0),
            renewed: spec.renew_time.map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default().max(0),
            version: object.metadata.resource_version.clone().unwrap_or_default(),
            object: Some(Arc::new(object)),
        }
    }

    /// The object to write. Where it replaces one, the API server refuses it unless that is still at this version.
    pub(super) fn object(&self, namespace: &str, name: &str) -> DynamicObject {
        let mut object = match &self.object {
            Some(object) => DynamicObject::clone(object),
            None => DynamicObject::new(name, &resource()).within(namespace),
        };
        object.metadata.managed_fields = None;
        let mut spec = match object.data.get("spec") {
            Some(Value::Object(spec)) => spec.clone(),
            _ => Map::new(),
        };
        let time = |time: Option<Timestamp>| json!(time.map(MicroTime));
        for (field, value) in [
            ("holderIdentity", json!(self.holder)),
            ("leaseDurationSeconds", json!(self.duration.as_secs())),
            ("acquireTime", time(self.acquired)),
            ("renewTime", time(self.renewed)),
            ("leaseTransitions", json!(self.transitions)),
        ] {
            spec.insert(field.to_owned(), value);
        }
        object.data = json!({"spec": spec});
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(spec: &Value) -> DynamicObject {
        let mut lease = DynamicObject::new("leader", &resource()).within("meshlite");
        lease.metadata.resource_version = Some("7".into());
        lease.data = json!({"spec": spec});
        lease
    }

    fn first() -> Record {
        Record {
            holder: "a_1".into(),
            duration: Duration::from_secs(15),
            acquired: Some(Timestamp::UNIX_EPOCH),
            renewed: Some(Timestamp::UNIX_EPOCH),
            transitions: 3,
            version: String::new(),
            object: None,
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let object = first().object("meshlite", "leader");
        let read = Record::read(object.clone());
        let expected = Record {
            object: Some(Arc::new(object)),
            ..first()
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_others_wrote_into_it_stays() {
        let mut found = lease(
            &json!({"holderIdentity": "b_2", "strategy": "OldestEmulationVersion", "new": [1]}),
        );
        found.metadata.labels = Some([("team".to_owned(), "edge".to_owned())].into());
        let claim = Record {
            holder: "a_1".into(),
            ..Record::read(found)
        };
        let written = claim.object("meshlite", "leader");
        let spec = &written.data["spec"];
        assert_eq!(written.metadata.labels.unwrap()["team"], "edge");
        assert_eq!(written.metadata.resource_version.unwrap(), "7");
        assert_eq!(spec["holderIdentity"], "a_1");
        assert_eq!(spec["strategy"], "OldestEmulationVersion");
        assert_eq!(spec["new"], json!([1]));
    }

    #[test]
    fn a_lease_that_says_nonsense_is_bounded() {
        let record = Record::read(lease(&json!({
            "leaseDurationSeconds": i32::MAX, "leaseTransitions": -5,
        })));
        assert_eq!((record.duration, record.transitions), (LONGEST, 0));
        for nothing in [Value::Null, json!([]), json!({"holderIdentity": 7})] {
            let record = Record::read(lease(&nothing));
            assert_eq!((record.duration, &*record.holder), (SHORTEST, ""));
        }
    }
}
