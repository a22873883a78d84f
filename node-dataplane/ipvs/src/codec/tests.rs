//! The codec against what ipvsadm and a kernel said to each other, and against anything.

mod captured;
mod properties;
