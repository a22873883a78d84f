//! The loop's passes against a kernel that fails, forgets and is changed behind our back.

use meshlite_snapshot::{Name, Resource, Service};
use proptest::prelude::*;

use super::*;
use crate::{
    kernel::memory::Memory,
    table::{Frontend, VirtualAddress},
    testing::as_table,
};
