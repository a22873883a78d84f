//! Watches, compiles, publishes and streams snapshots.
//!
//! ```text
//! files ──────> watch ─> admit ─┬─> compile ─> publish ─> change log ─┬─> stream ─┬─> TLS ═gRPC═> data planes
//! API server ─> watch ──────────┘  ^   └─> findings ──────────────────┴─> status ─┘    ^           │
//!      ^ │                         └─ balance: weights by load <─ connections of endpoints <─ heartbeats
//!      │ └─> keys of tokens, our CA ─> auth: who calls, and what they may do ──────────┘
//!      └──── report: Ingress status, Events (one replica, by Lease) <─ findings, what data planes acknowledge
//! ```
//!
//! Input: a folder of Kubernetes manifests or an API server ([`SourceConfig`]), and what callers prove of themselves
//! ([`Security`]). Output: commits to every data plane that subscribes, the same as readable resources, clients and findings
//! to people, and to the API server what became of its objects. Nothing is served before the first compile is done,
//! and after that nothing that goes wrong with the input takes anything away that is served.

mod admin;
mod assemble;
mod auth;
mod balance;
mod clock;
mod config;
mod findings;
mod metrics;
mod once;
mod peers;
mod pipeline;
mod publish;
mod report;
mod status;
mod stream;
mod tls;
mod watch;

#[cfg(test)]
mod testing;

pub use assemble::{BindError, ControlPlane, RunError};
pub use config::{
    Config, KubernetesConfig, PodRuntime, PublishStatus, Security, ServerCertificate, SourceConfig,
    TlsConfig, TokenConfig,
};
pub use once::{OneShot, SourceError, compile_once};
#[doc(hidden)]
pub use stream::fuzzing;
