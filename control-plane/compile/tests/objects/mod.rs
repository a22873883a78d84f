//! Reads objects of the kinds that the compiler takes, in the form in which an API server admits them.

use std::sync::Arc;

use k8s_openapi::{
    Metadata,
    api::{
        core::v1::{Namespace, Node, Secret, Service},
        discovery::v1::EndpointSlice,
        networking::v1::{Ingress, IngressClass},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use meshlite_compile::{Factors, Inputs, ObjectKey};
use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::Value;

/// Puts an object in. Says why where it is not of a kind that the compiler takes, or not of its form.
pub(crate) fn insert(inputs: &mut Inputs, object: &Value) -> Result<(), String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    match kind {
        "Service" => {
            let (key, value) = namespaced::<Service>(object)?;
            inputs.services.insert(key, value);
        }
        "EndpointSlice" => {
            let (key, value) = namespaced::<EndpointSlice>(object)?;
            inputs.endpoint_slices.insert(key, value);
        }
        "Ingress" => {
            let (key, value) = namespaced::<Ingress>(object)?;
            inputs.ingresses.insert(key, value);
        }
        "Secret" => {
            let (key, value) = namespaced::<Secret>(object)?;
            inputs.secrets.insert(key, value);
        }
        "IngressClass" => {
            let (key, value) = namespaced::<IngressClass>(object)?;
            inputs.ingress_classes.insert(key.name, value);
        }
        "Node" => {
            let (key, value) = namespaced::<Node>(object)?;
            inputs.nodes.insert(key.name, value);
        }
        "Namespace" => {
            let (key, value) = namespaced::<Namespace>(object)?;
            inputs.namespaces.insert(key.name, value);
        }
        // Not an object of Kubernetes: what was observed.
        "Factors" => {
            let metadata = &object["metadata"];
            let text = |field: &str| metadata[field].as_str().unwrap_or_default();
            let factors = Factors::deserialize(&object["factors"]);
            let factors = factors.map_err(|error| error.to_string())?;
            let key = ObjectKey::new(text("namespace"), text("name"));
            inputs.factors.insert(key, Arc::new(factors));
        }
        other => return Err(format!("kind {other:?} is not one that is compiled")),
    }
    Ok(())
}

fn namespaced<T>(object: &Value) -> Result<(ObjectKey, Arc<T>), String>
where
    T: DeserializeOwned + Metadata<Ty = ObjectMeta>,
{
    let object = T::deserialize(object).map_err(|error| error.to_string())?;
    let metadata = object.metadata();
    let key = ObjectKey::new(
        metadata.namespace.as_deref().unwrap_or("default"),
        metadata.name.as_deref().unwrap_or_default(),
    );
    Ok((key, Arc::new(object)))
}
