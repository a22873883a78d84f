//! A Lease as the election sees it.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};

/// The shortest and the longest lease that is believed: the object may say anything.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);

/// What a Lease says, and at which version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

impl Record {
    pub(super) fn read(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        let duration = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: duration.clamp(SHORTEST, LONGEST),
            acquired: spec.acquire_time.map(|time| time.0),
            renewed: spec.renew_time.map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default().max(0),
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
        }
    }

    /// The object to write. Where it replaces one, the API server refuses it unless that is still at this version.
    pub(super) fn object(&self, namespace: &str, name: &str) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                resource_version: (!self.version.is_empty()).then(|| self.version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.holder.clone()),
                lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
                acquire_time: self.acquired.map(MicroTime),
                renew_time: self.renewed.map(MicroTime),
                lease_transitions: Some(self.transitions),
                ..LeaseSpec::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let record = Record {
            holder: "a_1".into(),
            duration: Duration::from_secs(15),
            acquired: Some(Timestamp::UNIX_EPOCH),
            renewed: Some(Timestamp::UNIX_EPOCH),
            transitions: 3,
            version: "7".into(),
        };
        assert_eq!(Record::read(&record.object("meshlite", "leader")), record);
    }

    #[test]
    fn a_lease_that_says_nonsense_is_bounded() {
        let spec = LeaseSpec {
            lease_duration_seconds: Some(i32::MAX),
            lease_transitions: Some(-5),
            ..LeaseSpec::default()
        };
        let lease = |spec| Lease {
            spec,
            ..Lease::default()
        };
        let record = Record::read(&lease(Some(spec)));
        assert_eq!((record.duration, record.transitions), (LONGEST, 0));
        assert_eq!(Record::read(&lease(None)).duration, SHORTEST);
    }
}
