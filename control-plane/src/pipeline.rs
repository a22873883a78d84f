//! From what a source says to what is published: apply, compile, publish, at a pace that the changes allow.

mod cluster;
pub(crate) mod files;
mod observed;
mod output;
mod source;

pub(crate) use self::{files::FilePipeline, output::Output, source::Source};
