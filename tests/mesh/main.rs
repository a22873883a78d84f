//! The planes together, in one process over loopback: what is published is what every data plane holds, through
//! restarts and kills of the control plane.
#![cfg(test)]

mod attacks;
mod balance;
mod doors;
mod edits;
mod kills;
mod manifests;
mod older;
mod restarts;
mod world;

use tokio::sync::RwLock;

/// Held by whoever runs beside others, and alone by whoever measures the memory of this process.
static PROCESS: RwLock<()> = RwLock::const_new(());
