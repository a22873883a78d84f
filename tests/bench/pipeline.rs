//! From YAML files to an installed snapshot: 10,000 Services with 10 endpoints each, stage by stage.
fn main() {}
