//! Where objects come from, how far each source was read, and what is known of the objects.

mod facts;
pub(crate) mod files;
mod sources;

pub(crate) use self::{
    facts::{Facts, Followed},
    sources::{Sources, Watermark},
};
