//! The meshlite command.
fn main() {}
