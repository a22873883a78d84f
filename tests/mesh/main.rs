//! The planes together, in one process over loopback: what is published is what every data plane holds, through
//! restarts and kills of the control plane.
#![cfg(test)]

mod attacks;
mod edits;
mod kills;
mod manifests;
mod older;
mod world;
