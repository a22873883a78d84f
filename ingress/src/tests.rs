//! The ingress over real sockets: a snapshot in, requests through it to origins on loopback.

mod changes;
mod errors;
mod exchange;
mod http2;
pub(crate) mod mesh;
mod origin;
mod raw;
mod routing;
mod tls;
mod upgrade;
mod whole;
