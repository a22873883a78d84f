//! The Helm chart: what it renders, that a real API server takes it, and that what it renders works.
//!
//! ```text
//! values ─> helm ─> manifests ─┬─> golden files
//!                              └─> API server ─> Pods as processes ─> traffic, audit log
//! ```
//!
//! Input: deploy/helm/meshlite, and `make tools`. Output: passed or what differs.
#![cfg(test)]

mod chart;
mod golden;
mod helm;
mod install;
mod monitoring;
mod systemd;
mod values;
