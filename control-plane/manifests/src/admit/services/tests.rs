//! Allocation over time.
