//! Linux IPVS over generic netlink.
//!
//! ```text
//! Change, Query ──> codec ──> netlink socket ──> kernel ──> netlink socket ──> codec ──> ServiceEntry, DestinationEntry, Failure
//! ```
//!
//! Input: what IPVS should do, as plain values. Output: what it does, and why not. [`Ipvs`] is the handle; [`codec`] is
//! the same without a socket. No `unsafe`, no C library, no process started; needs Linux 4.12 and `CAP_NET_ADMIN`.

pub mod codec;
mod destination;
mod error;
mod exchange;
mod ipvs;
mod name;
mod request;
mod service;
mod socket;
mod statistics;

pub use destination::{
    Destination, DestinationEntry, DestinationKey, DestinationSettings, Forwarding, Tunnel,
    TunnelChecksum,
};
pub use error::{Error, Failure, Refusal};
pub use ipvs::Ipvs;
pub use name::{InvalidName, PersistenceEngine, Scheduler};
pub use request::{Change, Query};
pub use service::{
    Family, Persistence, Protocol, Service, ServiceEntry, ServiceFlags, ServiceKey, ServiceSettings,
};
pub use statistics::{Info, Rates, Statistics, Timeouts, Version};
