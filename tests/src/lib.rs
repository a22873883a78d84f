//! Shared by the tests and benchmarks that cross crates.
