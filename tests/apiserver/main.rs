//! What only a real Kubernetes API can show.
#![cfg(test)]

mod classes;
mod clients;
mod command;
mod direct;
mod faults;
mod harness;
mod kinds;
mod leader;
mod migrate;
mod pods;
mod rbac;
mod replicas;
mod support;
mod tokens;
mod watchlist;
mod written;
