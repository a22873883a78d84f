//! Shared by the tests and benchmarks that cross crates.
//!
//! ```text
//! a size ─> fixture ─> manifests ─> tests, benchmarks ─> figures
//! ```
//!
//! Input: how much to generate, what was measured. Output: manifests, and tables and JSON of figures.

pub mod figures;
pub mod fixture;
