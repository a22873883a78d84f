//! Services and their EndpointSlices, joined.

mod traffic;
mod weights;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use k8s_openapi::api::core::v1 as k8s;
use meshlite_snapshot::{EndpointGroup, Name, Resource, ResourceType, Service};

use self::{traffic::Terms, weights::Weighted};
use crate::{
    Bases, Delta, Effect, Factors, ObjectKey, Slice, endpoints,
    report::{About, Book, Findings, Unit, resource_name},
    service,
    slice::SERVICE_NAME,
    weights::Weighing,
};

/// What each Service means; nothing where nobody can say what it is.
pub(crate) type Services = BTreeMap<ObjectKey, Option<Arc<Service>>>;

/// Services and EndpointSlices as they are, and which of them changed since they were compiled.
#[derive(Debug, Default)]
pub(crate) struct Join {
    services: Services,
    slices: BTreeMap<ObjectKey, Held>,
    /// The names of the slices that say they belong to a Service, whether or not it is there.
    members: BTreeMap<ObjectKey, Vec<Box<str>>>,
    changed_services: BTreeSet<ObjectKey>,
    changed_slices: BTreeSet<ObjectKey>,
    weighted: Weighted,
}

/// A slice, and the name of the group that was last handed out for it. The group itself is not kept.
#[derive(Debug, Default)]
struct Held {
    /// None: it is gone, and its group is to be.
    slice: Option<Arc<Slice>>,
    group: Option<Name>,
}

/// The group of a slice as it was handed out before and now.
#[derive(Debug)]
pub(crate) struct Regrouped {
    pub(crate) before: Option<Name>,
    /// With its Service.
    pub(crate) after: Option<(ObjectKey, Name)>,
}

impl Join {
    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    /// Takes in what became of a Service. Its slices are compiled again only where it tells them something else.
    pub(crate) fn put_service(
        &mut self,
        key: &ObjectKey,
        object: Option<&k8s::Service>,
        book: &mut Book,
    ) -> Effect {
        let mut findings = Findings::default();
        let mut about = findings.about("Service", key);
        let now = object.map(|object| {
            let read = service::service(key, object, &mut about);
            read.map(|(_, service)| Arc::new(service))
        });
        let served = object.zip(now.as_ref().and_then(Option::as_ref));
        let weighing =
            served.and_then(|(object, service)| Weighing::read(object, service, &mut about));
        let weighs_other = self.weighted.put(key, weighing);
        let finds_other = book.replace(Unit::Service(key.clone()), findings);
        if self.services.get(key) == now.as_ref() {
            return if finds_other || weighs_other {
                Effect::Changes
            } else {
                Effect::Nothing
            };
        }
        let terms = Terms::of(now.as_ref());
        let before = match now {
            Some(now) => self.services.insert(key.clone(), now),
            None => self.services.remove(key),
        };
        self.changed_services.insert(key.clone());
        let before = Terms::of(before.as_ref());
        if before == terms {
            return Effect::Changes;
        }
        let members = self.members.get(key).into_iter().flatten();
        let slices = members.map(|name| ObjectKey::new(&*key.namespace, &**name));
        self.changed_slices.extend(slices);
        let slices = || self.slices_of(key).map(|(_, slice)| slice);
        if traffic::ends(before, terms, slices) {
            Effect::TakesAway
        } else {
            Effect::Changes
        }
    }

    /// Takes in what became of a slice.
    pub(crate) fn put_slice(&mut self, key: ObjectKey, slice: Option<Arc<Slice>>) -> Effect {
        let before = self.slices.get(&key).and_then(|held| held.slice.clone());
        if before == slice {
            return Effect::Nothing;
        }
        let service = |slice: &Slice| Some(ObjectKey::new(&*key.namespace, slice.service()?));
        let [from, to] = [&before, &slice].map(|slice| slice.as_deref().and_then(service));
        if from != to {
            self.leave(from.as_ref(), &key.name);
            if let Some(to) = &to {
                let members = self.members.entry(to.clone()).or_default();
                members.push(key.name.as_str().into());
            }
        }
        for service in [&from, &to].into_iter().flatten() {
            self.weighted.slice_changed(service);
        }
        let after = slice.clone().filter(|_| from == to);
        self.slices.entry(key.clone()).or_default().slice = slice;
        let is_lost = from.zip(before).is_some_and(|(from, before)| {
            let Some(Some(service)) = self.services.get(&from) else {
                return false;
            };
            let others = || self.slices_of(&from).filter(|(name, _)| *name != key.name);
            let others = || others().map(|(_, slice)| slice);
            traffic::is_lost(service, &before, after.as_deref(), others)
        });
        self.changed_slices.insert(key);
        if is_lost {
            Effect::TakesAway
        } else {
            Effect::Changes
        }
    }

    /// Takes in what the load of a Service's endpoints asks for.
    pub(crate) fn put_factors(&mut self, key: ObjectKey, factors: Option<Arc<Factors>>) -> Effect {
        if self.weighted.put_factors(key, factors) {
            Effect::Changes
        } else {
            Effect::Nothing
        }
    }

    /// The Services that are balanced by load.
    pub(crate) fn balanced(&self) -> &BTreeMap<ObjectKey, Arc<Bases>> {
        self.weighted.balanced()
    }

    fn leave(&mut self, service: Option<&ObjectKey>, slice: &str) {
        if let Some(service) = service
            && let Some(members) = self.members.get_mut(service)
        {
            members.retain(|member| **member != *slice);
            if members.is_empty() {
                self.members.remove(service);
            }
        }
    }

    fn held_of(&self, service: &ObjectKey) -> impl Iterator<Item = (&str, &Held)> {
        let members = self.members.get(service).into_iter().flatten();
        members.filter_map(|name| {
            let key = ObjectKey::new(&*service.namespace, &**name);
            Some((&**name, self.slices.get(&key)?))
        })
    }

    fn slices_of(&self, service: &ObjectKey) -> impl Iterator<Item = (&str, &Slice)> {
        self.held_of(service)
            .filter_map(|(name, held)| Some((name, held.slice.as_deref()?)))
    }

    /// The groups of a Service that are handed out.
    pub(crate) fn groups_of(&self, service: &ObjectKey) -> impl Iterator<Item = &Name> {
        self.held_of(service)
            .filter_map(|(_, held)| held.group.as_ref())
    }

    /// Hands out what changed.
    pub(crate) fn compile(&mut self, delta: &mut Delta, book: &mut Book) -> Vec<Regrouped> {
        for key in mem::take(&mut self.changed_services) {
            // What has no such name never meant a resource.
            if let Ok(name) = resource_name(&[&key.namespace, &key.name]) {
                let service = self.services.get(&key).cloned().flatten();
                delta.resources.insert(
                    (ResourceType::Service, name),
                    service.map(Resource::Service),
                );
            }
        }
        self.compile_weights(delta);
        mem::take(&mut self.changed_slices)
            .into_iter()
            .map(|key| self.compile_slice(key, delta, book))
            .collect()
    }

    fn compile_weights(&mut self, delta: &mut Delta) {
        let mut weighted = mem::take(&mut self.weighted);
        for service in weighted.take_changed() {
            let slices = self.slices_of(&service).map(|(_, slice)| slice);
            let endpoints: Vec<_> = slices.flat_map(Slice::endpoints).collect();
            weighted.compile(service.clone(), &endpoints, delta);
        }
        self.weighted = weighted;
    }

    fn compile_slice(&mut self, key: ObjectKey, delta: &mut Delta, book: &mut Book) -> Regrouped {
        let slice = self.slices.get(&key).and_then(|held| held.slice.clone());
        let mut findings = Findings::default();
        let mut about = findings.about("EndpointSlice", &key);
        let group = slice
            .as_deref()
            .and_then(|slice| self.group(&key, slice, &mut about));
        let name = group.as_ref().map(|(name, _)| name.clone());
        let before = match self.slices.get_mut(&key) {
            Some(held) => mem::replace(&mut held.group, name),
            None => None,
        };
        if slice.is_none() {
            self.slices.remove(&key);
        }
        book.replace(Unit::Slice(key), findings);
        if let Some(before) = &before {
            let key = (ResourceType::EndpointGroup, before.clone());
            delta.resources.insert(key, None);
        }
        let after = group.map(|(name, group)| {
            let service = ObjectKey::new(&*group.namespace, &*group.service);
            let resource = Resource::EndpointGroup(Arc::new(group));
            let key = (ResourceType::EndpointGroup, name.clone());
            delta.resources.insert(key, Some(resource));
            (service, name)
        });
        Regrouped { before, after }
    }

    /// What a slice means. As with kube-proxy, one whose Service is not there has no effect.
    fn group(
        &self,
        key: &ObjectKey,
        slice: &Slice,
        about: &mut About<'_>,
    ) -> Option<(Name, EndpointGroup)> {
        let Some(name) = slice.service() else {
            about.warning(
                "metadata.labels",
                "NoService",
                format!("without the label {SERVICE_NAME} it has no effect"),
            );
            return None;
        };
        let service = ObjectKey::new(&*key.namespace, name);
        let Some(meaning) = self.services.get(&service) else {
            about.warning(
                format!("metadata.labels[{SERVICE_NAME}]"),
                "ServiceNotFound",
                format!("there is no Service {service}"),
            );
            return None;
        };
        endpoints::group(key, slice, meaning.as_deref()?, about)
    }
}
