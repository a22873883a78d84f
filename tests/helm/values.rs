//! Every value is documented where people look: above it in values.yaml, and in the schema.

use std::fs;

use serde_json::Value;

use crate::helm::chart;

fn schema() -> Value {
    let schema = fs::read_to_string(chart().join("values.schema.json")).unwrap();
    serde_json::from_str(&schema).unwrap()
}

/// The parts of a path such as `.node.mode` that the schema has no description for.
fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if property.is_object() && !property["description"].is_string() {
            found.push(path.clone());
        }
        undescribed(property, &path, found);
    }
}

#[test]
fn every_value_has_a_description_in_the_schema() {
    let mut found = Vec::new();
    undescribed(&schema(), "", &mut found);
    assert!(found.is_empty(), "{found:?} have no description");
}

/// Fields of objects that the schema closes are those of values.yaml, by name.
fn compare(values: &Value, schema: &Value, path: &str) {
    if schema["additionalProperties"] != false {
        return;
    }
    let mut known: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    // What Helm itself adds.
    known.retain(|name| *name != "global");
    let mut given: Vec<_> = values.as_object().unwrap().keys().collect();
    known.sort();
    given.sort();
    assert_eq!(known, given, "schema and values of {path} differ");
    for name in known {
        compare(
            &values[name],
            &schema["properties"][name],
            &format!("{path}.{name}"),
        );
    }
}

#[test]
fn the_schema_and_the_defaults_have_the_same_values() {
    let values = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let values: Value = yaml_serde::from_str(&values).unwrap();
    compare(&values, &schema(), "");
}

#[test]
fn every_value_has_a_comment_above_it() {
    let values = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let lines: Vec<_> = values.lines().collect();
    let silent = lines.windows(2).filter(|pair| {
        // A field of a section; what is deeper is an example of its value.
        let is_field = pair[1].starts_with("  ")
            && pair[1].trim_start().len() + 2 == pair[1].len()
            && pair[1].contains(':')
            && !pair[1].contains('#');
        is_field && !pair[0].trim_start().starts_with('#')
    });
    let silent: Vec<_> = silent.map(|pair| pair[1]).collect();
    assert!(silent.is_empty(), "no comment above {silent:?}");
}
