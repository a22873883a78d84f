//! The 30 checks of the public Ingress conformance suite, from manifests through every plane to answers of echo servers.
//!
//! Names say the suite's feature and the number of its scenario. Where the suite waits for an address in status, see also the
//! tests with an API server.
#![cfg(test)]

mod client;
mod default_backend;
mod echo;
mod host_rules;
mod ingress_class;
mod load_balancing;
mod mesh;
mod path_rules;
