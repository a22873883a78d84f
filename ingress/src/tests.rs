//! The ingress over real sockets: a snapshot in, requests through it to origins on loopback.

mod abuse;
mod attacks;
mod bodies;
mod changes;
mod churn;
mod client_certificates;
mod errors;
mod exchange;
mod expressions;
mod frames;
mod garbled;
mod http2;
pub(crate) mod mesh;
mod origin;
mod origins;
mod policies;
mod programs;
mod proxied;
mod raw;
mod routing;
mod seen;
mod tls;
mod tools;
mod traces;
mod upgrade;
mod upstream;
mod whole;
