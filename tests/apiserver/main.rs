//! What only a real Kubernetes API can show.
#![cfg(test)]

mod harness;
