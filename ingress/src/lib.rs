//! Serves HTTP by host and path from a streamed route table.
//!
//! ```text
//! Commit ─> install ─> table ─┐ (swapped whole)
//!                             v
//! client ─> listen ─> accept ─> sanitise ─> route ─> policy ─> balance ─> forward ─> respond ─> policy ─> client
//!                                                                            │^
//!                                                                            v│
//!                                                                         endpoint
//! ```
//!
//! Input: commits of the ingress topics, and requests. Output: responses of the endpoints that routes lead to.
//! The functions that a request passes are named after these phases.

mod access_log;
mod admin;
mod balance;
mod certificates;
mod client;
mod config;
mod forward;
pub mod fuzzing;
mod http1;
mod ingress;
mod install;
mod listen;
mod map;
mod metrics;
mod pieces;
mod policy;
mod pool;
mod priority;
mod reply;
mod respond;
mod sanitise;
mod table;
mod takeover;
#[cfg(test)]
mod tests;
mod timers;
mod trace;

pub use access_log::AccessLogFormat;
pub use config::Config;
pub use ingress::{BindError, Ingress, RunError};
pub use trace::{Sampler, Tracing};
