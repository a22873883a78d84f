//! What only a real Kubernetes API can show.
#![cfg(test)]

mod faults;
mod harness;
mod kinds;
mod pods;
mod support;
