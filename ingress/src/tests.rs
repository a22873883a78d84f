//! The ingress over real sockets: a snapshot in, requests through it to origins on loopback.

mod bodies;
mod changes;
mod errors;
mod exchange;
mod expressions;
mod garbled;
mod http2;
pub(crate) mod mesh;
mod origin;
mod policies;
mod raw;
mod routing;
mod tls;
mod upgrade;
mod whole;
