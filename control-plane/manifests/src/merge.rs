//! YAML's merge keys (`<<: *anchor`), which `kubectl` understands too.

use yaml_serde::Value;

/// The text with its merge keys applied; none where they cannot be.
pub(crate) fn flatten(text: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = yaml_serde::from_slice(text).ok()?;
    value.apply_merge().ok()?;
    yaml_serde::to_string(&value).ok().map(String::into_bytes)
}
