//! What is known of a Pod is what Kubernetes' own types know.

use serde::{Deserialize, Deserializer, de};

use super::*;

/// A deserializer that only listens for the fields that a struct asks for.
struct Fields<'f>(&'f mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("only structs are asked for their fields"))
    }

    fn deserialize_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        Err(de::Error::custom("heard"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields_of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut fields = Vec::new();
    assert!(T::deserialize(Fields(&mut fields)).is_err());
    fields.sort_unstable();
    fields
}

#[test]
fn every_field_that_kubernetes_has_is_known_and_no_other() {
    fn same<Ours: for<'de> Deserialize<'de>, Theirs: for<'de> Deserialize<'de>>() {
        assert!(!fields_of::<Theirs>().is_empty());
        assert_eq!(fields_of::<Ours>(), fields_of::<Theirs>());
    }
    same::<Pod, core::Pod>();
    same::<Deployment, apps::Deployment>();
    same::<StatefulSet, apps::StatefulSet>();
    same::<DeploymentSpec, apps::DeploymentSpec>();
    same::<StatefulSetSpec, apps::StatefulSetSpec>();
    same::<PodTemplateSpec, core::PodTemplateSpec>();
    same::<PodSpec, core::PodSpec>();
    same::<Container, core::Container>();
    same::<PodStatus, core::PodStatus>();
}

/// What a field that is read holds, in both types.
#[test]
fn what_is_read_is_what_kubernetes_types_read() {
    let text = r#"{
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "labels": {"app": "a"}},
        "spec": {
            "hostname": "h", "subdomain": "s", "nodeName": "n",
            "containers": [{"ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}]}],
            "initContainers": [{"restartPolicy": "Always", "ports": [{"containerPort": 81}]}]
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}]
        }
    }"#;
    let theirs: core::Pod = serde_json::from_str(text).unwrap();
    let ours: Pod = serde_json::from_str(text).unwrap();
    let (ours, problems) = ours.convert();
    assert_eq!(ours, Object::Pod(Arc::new(theirs)));
    assert_eq!(problems, []);
}
