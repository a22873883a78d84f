//! The Secrets, each read once.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as k8s;
use meshlite_snapshot::Name;

use crate::{
    ObjectKey,
    report::resource_name,
    secret::{self, Material},
};

/// Every Secret as a chain with its key, or why it is none. Nothing else of it is kept.
#[derive(Debug, Default)]
pub(super) struct Keyring(BTreeMap<ObjectKey, Result<Material, String>>);

/// Why a Secret cannot be used: reason and message.
pub(super) type Problem = (&'static str, String);

impl Keyring {
    /// Takes in what became of a Secret. Says whether it matters.
    pub(super) fn put(&mut self, key: &ObjectKey, object: Option<&k8s::Secret>) -> bool {
        let read = object.map(secret::material);
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
        match self.0.get(key) {
            Some(Ok(material)) => Ok((name, material)),
            Some(Err(problem)) => Err((
                "InvalidSecret",
                format!("Secret {key} is not usable: {problem}"),
            )),
            None => Err(("SecretNotFound", format!("there is no Secret {key}"))),
        }
    }
}
