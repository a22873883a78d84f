//! What a node knows of itself: its name, and later its zone and addresses.

use std::io;

/// The host's name, as the kernel has it.
pub(crate) fn host_name() -> io::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    Ok(name.trim().to_lowercase())
}
