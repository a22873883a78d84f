//! Programs what a snapshot says on one node.
//!
//! ```text
//! Commit ─ changes ─> desired ─ keys ─> plan ─ steps ─> Kernel (ipvs | nftables | userspace | memory)
//!                      ^                 ^                │
//!   facts, checks ─────┘                 └─ mirror <──────┘ read: at the start, each sync period, after failures
//! ```
//!
//! Input: commits of the node topics, and facts about this node. Output: virtual servers that carry traffic, health
//! checks that answer for them, and the table of what is programmed. `desired` and `plan` are pure; `program` is the loop.

mod admin;
mod cleanup;
mod clock;
mod config;
mod desired;
mod facts;
mod health;
mod health_checks;
mod host;
mod init;
mod kernel;
pub mod kube_proxy;
mod metrics;
mod mode;
mod node;
mod notice;
mod plan;
pub mod preflight;
mod program;
mod scheduler;
mod table;
#[cfg(test)]
mod testing;

pub use cleanup::cleanup;
pub use config::{Config, Conntrack, DetectLocal, InvalidVipBinding, VipBinding};
pub use init::init;
pub use mode::{InvalidMode, Mode, ModeError};
pub use node::{BindError, Node, RunError};
pub use notice::Notice;
pub use scheduler::{InvalidScheduler, Scheduler};
