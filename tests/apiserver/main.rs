//! What only a real Kubernetes API can show.
#![cfg(test)]

mod clients;
mod faults;
mod harness;
mod kinds;
mod leader;
mod pods;
mod replicas;
mod support;
