//! Shared by the tests and benchmarks that cross crates.
//!
//! ```text
//! a size   ─> fixture   ─> manifests          ─┬─> tests, benchmarks ─> figures
//! programs ─> apiserver ─> a Kubernetes API   ─┤
//!             replica   ─> a control plane    ─┤
//! pods     ─> world     ─> nodes in namespaces ─┘
//! ```
//!
//! Input: how much to generate, Kubernetes' programs, what was measured. Output: manifests, a running API server, and tables
//! and JSON of figures.

pub mod apiserver;
pub mod dice;
pub mod figures;
pub mod fixture;
pub mod kube_proxy;
mod port;
pub mod process;
pub mod programs;
pub mod replica;
pub mod soak;
pub mod world;
