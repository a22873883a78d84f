//! The Secrets, each read once.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as k8s;
use meshlite_snapshot::Name;

use super::annotations::Part;
use crate::{
    ObjectKey,
    report::resource_name,
    secret::{self, Contents, Material},
};

/// Every Secret, read. Nothing else of it is kept.
#[derive(Debug, Default)]
pub(super) struct Keyring(BTreeMap<ObjectKey, Contents>);

/// Why a Secret cannot be used: reason and message.
pub(super) type Problem = (&'static str, String);

impl Keyring {
    /// Takes in what became of a Secret. Says whether it matters.
    pub(super) fn put(&mut self, key: &ObjectKey, object: Option<&k8s::Secret>) -> bool {
        let read = object.map(secret::contents);
        if self.0.get(key) == read.as_ref() {
            return false;
        }
        match read {
            Some(read) => self.0.insert(key.clone(), read),
            None => self.0.remove(key),
        };
        true
    }

    /// A Secret that can be used, with the name of its resource.
    pub(super) fn get(&self, key: &ObjectKey) -> Result<(Name, &Material), Problem> {
        let name = resource_name(&[&key.namespace, &key.name])
            .map_err(|error| ("InvalidName", error.to_string()))?;
        let material = self.contents(key)?.material.as_ref();
        Ok((name, material.map_err(|problem| unusable(key, problem))?))
    }

    /// What a Secret holds.
    pub(super) fn contents(&self, key: &ObjectKey) -> Result<&Contents, Problem> {
        let missing = || ("SecretNotFound", format!("there is no Secret {key}"));
        self.0.get(key).ok_or_else(missing)
    }

    /// Why a part of a Secret cannot be used, if it cannot.
    pub(super) fn check(&self, key: &ObjectKey, part: Part) -> Result<(), Problem> {
        let contents = self.contents(key)?;
        let problem = match part {
            Part::Passwords => contents.passwords.as_ref().err(),
            Part::Users => contents.users.as_ref().err(),
            Part::Authorities => contents.authorities.as_ref().err(),
            Part::Identity => contents.material.as_ref().err(),
        };
        problem.map_or(Ok(()), |problem| Err(unusable(key, problem)))
    }
}

fn unusable(key: &ObjectKey, problem: &str) -> Problem {
    (
        "InvalidSecret",
        format!("Secret {key} is not usable: {problem}"),
    )
}
