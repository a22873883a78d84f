//! The messages and services of `meshlite.discovery.v1`, generated from `proto/meshlite/discovery/v1`.
#![expect(
    missing_docs,
    unused_qualifications,
    clippy::pedantic,
    clippy::large_enum_variant,
    clippy::clone_on_ref_ptr,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

tonic::include_proto!("meshlite.discovery.v1");

/// Descriptors of every message and service, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("meshlite_descriptor");
