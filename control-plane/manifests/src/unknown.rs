//! What serde forgives and Kubernetes does not: unknown fields, duplicate keys, numbers in the place of strings.

mod key;
mod notes;
mod path;
mod seen;
mod strict;
mod suggest;
mod text;

pub(crate) use notes::{Note, Notes};
pub(crate) use seen::{Seen, hash};
pub(crate) use strict::Strict;
pub(crate) use suggest::{misspelt, retired};
