//! The Weights of Services that weigh their endpoints.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use meshlite_snapshot::{Resource, ResourceType, Weights};

use crate::{
    Bases, Delta, Factors, ObjectKey,
    report::resource_name,
    slice::Packed,
    weights::{Weighing, weights},
};

/// Which Services weigh their endpoints and how, and which of them changed since they were compiled.
#[derive(Debug, Default)]
pub(super) struct Weighted {
    weighings: BTreeMap<ObjectKey, Weighing>,
    factors: BTreeMap<ObjectKey, Arc<Factors>>,
    changed: BTreeSet<ObjectKey>,
    /// Those whose Weights were handed out.
    told: BTreeSet<ObjectKey>,
    /// Those that are balanced by load.
    balanced: BTreeMap<ObjectKey, Arc<Bases>>,
}

impl Weighted {
    /// Takes in how a Service weighs its endpoints now, if it does. Says whether that differs.
    pub(super) fn put(&mut self, service: &ObjectKey, weighing: Option<Weighing>) -> bool {
        if self.weighings.get(service) == weighing.as_ref() {
            return false;
        }
        match weighing {
            Some(weighing) => self.weighings.insert(service.clone(), weighing),
            None => self.weighings.remove(service),
        };
        self.changed.insert(service.clone());
        true
    }

    /// Takes in what load asks for. Says whether that changes something.
    pub(super) fn put_factors(
        &mut self,
        service: ObjectKey,
        factors: Option<Arc<Factors>>,
    ) -> bool {
        if self.factors.get(&service) == factors.as_ref() {
            return false;
        }
        match factors {
            Some(factors) => self.factors.insert(service.clone(), factors),
            None => self.factors.remove(&service),
        };
        let counts = self.weighings.get(&service).is_some_and(Weighing::by_load);
        if counts {
            self.changed.insert(service);
        }
        counts
    }

    /// A slice of this Service came, went or is another.
    pub(super) fn slice_changed(&mut self, service: &ObjectKey) {
        if self.weighings.contains_key(service) {
            self.changed.insert(service.clone());
        }
    }

    pub(super) fn take_changed(&mut self) -> BTreeSet<ObjectKey> {
        mem::take(&mut self.changed)
    }

    pub(super) fn balanced(&self) -> &BTreeMap<ObjectKey, Arc<Bases>> {
        &self.balanced
    }

    /// Hands out the Weights of a Service with these endpoints. They are there also where they list nothing, so that what
    /// load does changes a resource and adds none.
    pub(super) fn compile(&mut self, service: ObjectKey, endpoints: &[&Packed], delta: &mut Delta) {
        self.balanced.remove(&service);
        // What has no such name never meant a resource.
        let Ok(name) = resource_name(&[&service.namespace, &service.name]) else {
            return;
        };
        let key = (ResourceType::Weights, name);
        let Some(weighing) = self.weighings.get(&service) else {
            if self.told.remove(&service) {
                delta.resources.insert(key, None);
            }
            return;
        };
        let bases = weighing.bases(endpoints);
        let factors = self.factors.get(&service).filter(|_| weighing.by_load());
        let resource = Weights {
            namespace: service.namespace.clone(),
            service: service.name.clone(),
            endpoints: weights(&bases, factors.map(AsRef::as_ref)),
        };
        if weighing.by_load() {
            self.balanced.insert(service.clone(), Arc::new(bases));
        }
        self.told.insert(service);
        delta
            .resources
            .insert(key, Some(Resource::Weights(Arc::new(resource))));
    }
}
