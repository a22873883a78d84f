//! The codec against what ipvsadm and a kernel said to each other, and against anything.

mod captured;
mod properties;

use super::Malformed;
use super::read::Attributes;

/// Attributes by the path of their kinds, down to the values. Only what is told to be nested is looked into.
fn flatten(
    attributes: &[u8],
    nested: &[u16],
) -> Result<std::collections::BTreeMap<Vec<u16>, Vec<u8>>, Malformed> {
    let mut flat = std::collections::BTreeMap::new();
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        if nested.contains(&attribute.kind) {
            for inner in attribute.nested() {
                let inner = inner?;
                flat.insert(vec![attribute.kind, inner.kind], inner.bytes().to_vec());
            }
        } else {
            flat.insert(vec![attribute.kind], attribute.bytes().to_vec());
        }
    }
    Ok(flat)
}
