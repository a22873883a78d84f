//! What every plane needs around its work: logs, metrics, an admin server, readiness, signals, backoff, listeners.
//!
//! ```text
//! tasks ─> Readiness ─┐
//! registry ───────────┼─> admin ─> /livez /readyz /metrics        signals ─> CancellationToken ─> tasks
//! /proc/self ─────────┘
//! ```
//!
//! Input: a listener and a stop token, both owned by the caller. Output: an HTTP server for probes and scrapers, and
//! small tools. It knows nothing of snapshots, so each plane depends on it and it depends on none.

pub mod admin;
pub mod backoff;
pub mod listen;
pub mod logging;
pub mod open_files;
pub mod readiness;
pub mod signals;

mod process;
