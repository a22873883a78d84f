//! Linux IPVS over generic netlink.
//!
//! ```text
//! Change, Query ──> codec ──> netlink socket ──> kernel ──> netlink socket ──> codec ──> ServiceEntry, DestinationEntry, Failure
//! ```
//!
//! Input: what IPVS should do, as plain values. Output: what it does, and why not. [`Ipvs`] is the handle; [`codec`] is
//! the same without a socket. No `unsafe`, no C library, no process started; needs Linux 4.12 and `CAP_NET_ADMIN`.
//!
//! | what | as a value | asked with |
//! |---|---|---|
//! | a virtual service | [`Service`]: [`ServiceKey`] and [`ServiceSettings`] | [`Ipvs::services`], [`Ipvs::service`] |
//! | a destination, or real server | [`Destination`]: [`DestinationKey`] and [`DestinationSettings`] | [`Ipvs::destinations`] |
//! | how long idle connections stay | [`Timeouts`] | [`Ipvs::timeouts`] |
//! | version and size | [`Info`] | [`Ipvs::info`] |
//! | something to be different | [`Change`] | [`Ipvs::apply`], [`Ipvs::change`] |
//!
//! Each value that can be set is read back as the same value, so that what is there can be compared with what should be.
//! Where the kernel's behaviour is told, its source is `net/netfilter/ipvs/ip_vs_ctl.c` and a Linux 6.1 that was tried.

pub mod codec;
mod destination;
mod error;
mod exchange;
mod ipvs;
mod name;
mod request;
mod service;
mod statistics;

pub use destination::{
    Destination, DestinationEntry, DestinationKey, DestinationSettings, Forwarding, Tunnel,
    TunnelChecksum,
};
pub use error::{Error, Failure};
pub use ipvs::Ipvs;
pub use meshlite_netlink::Refusal;
pub use name::{InvalidName, PersistenceEngine, Scheduler};
pub use request::{Change, Query};
pub use service::{
    Family, Persistence, Protocol, Service, ServiceEntry, ServiceFlags, ServiceKey, ServiceSettings,
};
pub use statistics::{Info, Rates, Statistics, Timeouts, Version};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
